"""What the reader read, kept beside the records: prompts.jsonl while a run goes on, prompts.jsonl.gz when it has ended.

Nothing is computed from it; a run without it is a whole run. A line is written after the answers it belongs to, and a
question that is asked again has two: the later one counts.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clara_bench.components.seen import Seen
from clara_bench.errors import DataError
from clara_bench.io.cache import disk_errors, write_atomic
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode_lines
from clara_bench.records.packs import located

NAME = "prompts.jsonl"
LARGEST = 64 << 20
"""Bytes, before they are compressed, up to which prompts are kept unasked."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was read for one question."""

    id: str
    prompt: str
    context: tuple[str, ...]


class PromptLog:
    """Appends what was read to a run's folder, and compresses it at the end."""

    def __init__(self, folder: Path, keep: bool | None = None) -> None:
        """Go on with what earlier sessions kept.

        Args:
            folder: of the run.
            keep: whether to keep prompts; None up to `LARGEST` bytes.

        Raises:
            BackendError: the disk cannot be written to.
        """
        self._plain, self._packed = folder / NAME, folder / f"{NAME}.gz"
        self._most = {None: LARGEST, True: None, False: 0}[keep]
        self._told = False
        before = _whole(self._plain, self._packed)
        self._size = len(before)
        if before:
            write_atomic(self._plain, before)
            self._packed.unlink(missing_ok=True)

    def append(self, told: Mapping[str, Seen]) -> None:
        """Keep what was read for some questions, unless that makes the file too large.

        Raises:
            BackendError: the disk is full or cannot be written to.
        """
        if self._most == 0:
            return
        lines = b"".join(msgspec.json.encode(Line(id, seen.text, seen.context)) + b"\n" for id, seen in told.items())
        if not lines:
            return
        if self._most is not None and self._size + len(lines) > self._most:
            if not self._told:
                warnings.warn(
                    f"prompts beyond {self._most >> 20} MiB are not kept. Keep all with --prompts", stacklevel=2
                )
            self._told = True
            return
        with disk_errors(self._plain), self._plain.open("ab") as file:
            file.write(lines)
        self._size += len(lines)

    def close(self) -> None:
        """Compress what is there; the same prompts give the same bytes."""
        if self._plain.is_file():
            write_atomic(self._packed, gzip.compress(self._plain.read_bytes(), mtime=0))
            self._plain.unlink()

    def __enter__(self) -> PromptLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_prompts(folder: Path) -> dict[str, Line]:
    """By question what was read; {} where nothing was kept.

    Raises:
        DataError: a line is not what was written.
    """
    place = located(folder)
    held = _whole(place / NAME, place / f"{NAME}.gz")
    lines = decode_lines(held.split(b"\n")[:-1], Line, str(folder / NAME), "Remove the file: no score needs it")
    return {line.id: line for _, line in lines}


def _whole(plain: Path, packed: Path) -> bytes:
    """The finished lines; where a kill left both files, the plain one holds all of the other."""
    source = plain if plain.is_file() else packed
    if not source.is_file():
        return b""
    held = read_bytes(source, "Remove the file: no score needs it", DataError)
    return held[: held.rfind(b"\n") + 1]
