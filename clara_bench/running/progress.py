"""Progress of runs on stderr: bars on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clara_bench.io.escaping import one_line
from clara_bench.io.progress import LINE_SECONDS
from clara_bench.io.terminal import bar, note

if TYPE_CHECKING:
    from clara_bench.running.run_config import Request
    from clara_bench.running.runner import Progress

Started = Callable[[int, "Request"], None]


@contextlib.contextmanager
def bars(total: int) -> Iterator[tuple[Progress, Started]]:
    """Two callbacks: progress within a run, and the start of the next of `total` runs."""
    with _terminal(total) if sys.stderr.isatty() else _lines(total) as callbacks:
        yield callbacks


def describe(request: Request) -> str:
    """A run in a few words."""
    return one_line(f"{request.task} · {request.setting} · {request.label or request.system}")


@contextlib.contextmanager
def _terminal(total: int) -> Iterator[tuple[Progress, Started]]:
    from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn

    speed = TextColumn("{task.fields[rate]}", markup=False)
    with bar(speed, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()) as shown:
        overall = shown.add_task("runs", total=total, rate="")
        current = shown.add_task("starting", total=None, rate="")
        begun = [0.0, 0]

        def progress(done: int, questions: int) -> None:
            if not begun[0]:
                begun[:] = [time.perf_counter(), done]
            shown.update(current, total=questions, completed=done, rate=rate(done - begun[1], begun[0]))

        def started(number: int, request: Request) -> None:
            begun[:] = [0.0, 0]
            shown.update(overall, completed=number - 1)
            shown.reset(current, total=None, description=describe(request), rate="")

        yield progress, started
        shown.update(overall, completed=total)


@contextlib.contextmanager
def _lines(total: int) -> Iterator[tuple[Progress, Started]]:
    last = [0.0]
    begun = [0.0, 0]

    def progress(done: int, questions: int) -> None:
        now = time.perf_counter()
        if not begun[0]:
            begun[:] = [now, done]
        if done < questions and now - last[0] < LINE_SECONDS:
            return
        last[0] = now
        left = (questions - done) * (now - begun[0]) / max(1, done - begun[1])
        eta = f" {rate(done - begun[1], begun[0])}, {left:.0f} s left" if done > begun[1] else ""
        note(f"{done}/{questions}{eta}")

    def started(number: int, request: Request) -> None:
        begun[:] = [0.0, 0]
        note(f"[{number}/{total}] {describe(request)}")

    yield progress, started


def rate(done: float, begun: float) -> str:
    """Questions per second so far."""
    return f"{done / max(1e-9, time.perf_counter() - begun):.2f}/s" if done else ""
