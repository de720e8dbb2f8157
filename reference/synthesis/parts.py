"""Parts of a synthesis, written on machines of their own, and their merge.

Part 2 of 4 of `rows.jsonl` is `part-2-of-4-rows.jsonl`, with a journal beside it as any file has. Lines of journals are
numbered by their place in the whole, so the merged journal is that of an undivided run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from clara_bench import ConfigError, DataError
from clara_bench.io.cache import write_atomic
from clara_bench.io.opening import read_bytes
from reference.synthesis.progress import Numbered, begun

Line = TypeVar("Line", bound=Numbered)


class Part(NamedTuple):
    """Every n-th of what is to be written."""

    first: int = 1
    parts: int = 1

    def holds(self, number: int) -> bool:
        """Whether the number, from 0, is of this part."""
        return number % self.parts == self.first - 1

    def file(self, out: Path) -> Path:
        """Where the part goes.

        >>> Part(2, 4).file(Path("rows.jsonl")).name
        'part-2-of-4-rows.jsonl'
        """
        return out if self.parts == 1 else out.with_name(f"part-{self.first}-of-{self.parts}-{out.name}")


WHOLE = Part()


def journal_of(out: Path) -> Path:
    """The journal beside a file of rows."""
    return out.with_name(out.name + ".journal")


def merge(
    out: Path,
    parts: int,
    header: msgspec.Struct,
    line: type[Line],
    key: Callable[[Line], Hashable],
    wanted: Iterable[tuple[int, Hashable]],
) -> None:
    """Make the whole file's journal of those of its parts.

    Args:
        out: the whole file; the parts lie beside it.
        parts: how many.
        header: what every journal must begin with.
        line: what a journal consists of.
        key: what a line settles.
        wanted: numbers, each with a key that must be settled.

    Raises:
        ConfigError: a part was written with other settings, or the file was begun without parts.
        DataError: a part is not there, is unfinished, or holds what is another's.
    """
    lines = [one for first in range(1, parts + 1) for one in _lines(Part(first, parts), out, header, line)]
    settled = {key(one) for one in lines}
    for number, wanted_key in wanted:
        if wanted_key not in settled:
            part = Part(number % parts + 1, parts)
            raise DataError(
                f"{part.file(out)}: unfinished, number {number} is missing. "
                f"Run its command again, with --part {part.first}/{parts}"
            )
    lines.sort(key=lambda one: one.number)
    content = b"".join(msgspec.json.encode(one) + b"\n" for one in (header, *lines))
    path = journal_of(out)
    if path.exists() and read_bytes(path) != content:
        raise ConfigError(f"{path}: there already, with something else than the parts. Choose another file to write")
    write_atomic(path, content)


def _lines(part: Part, out: Path, header: msgspec.Struct, line: type[Line]) -> Iterator[Line]:
    path = journal_of(part.file(out))
    if not path.exists():
        told = f"--part {part.first}/{part.parts}"
        raise DataError(f"{path}: not found. Write the part first, with {told}, or copy the file of its machine there")
    for one in begun(path, header, line):
        if not part.holds(one.number):
            raise DataError(f"{path}: holds number {one.number}, which is of another part. Copy the right file there")
        yield one
