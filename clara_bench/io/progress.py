"""Progress of long jobs on stderr: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from clara_bench.io.escaping import one_line
from clara_bench.io.terminal import bar, note

LINE_SECONDS = 10.0
BAR_SECONDS = 0.1

Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(label: str, total: int, unit: str = "passages") -> Iterator[Advance]:
    """Within the block, calling the given function with a count moves the job on by that many."""
    if sys.stderr.isatty():
        with _bar(label, total, unit) as advance:
            yield advance
    else:
        yield _lines(label, total, unit)


@contextlib.contextmanager
def _bar(label: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.progress import TextColumn, TimeRemainingColumn

    start = last = time.monotonic()
    done = 0
    with bar(TextColumn("{task.fields[rate]}", markup=False), TimeRemainingColumn(), transient=True) as drawn:
        task = drawn.add_task(one_line(label), total=total, rate="")

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= BAR_SECONDS:
                last = now
                drawn.update(task, completed=done, rate=f"{done / (now - start):,.0f} {unit}/s")

        yield advance


def _lines(label: str, total: int, unit: str) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last < LINE_SECONDS:
            return
        last = now
        rate = done / (now - start)
        left = (total - done) / rate
        note(f"{label}: {done:,} of {total:,} {unit}, {rate:,.0f} per second, {left:,.0f} s left")

    return advance
