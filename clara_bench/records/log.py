"""The record log: an append-only file that any end of the process leaves valid.

Records are not buffered, and a partial record is removed. After a kill or a full disk, the same
command therefore resumes the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import msgspec

from clara_bench.errors import BackendError
from clara_bench.io.cache import disk_errors, lock
from clara_bench.records.answer_check import check_record
from clara_bench.records.packs import is_published
from clara_bench.records.results import packed
from clara_bench.types import Record

_CHUNK = 1 << 16


class LineLog:
    """Appends lines to a file beside a run's others; one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, and cut off a last line that a kill or a full disk has left unfinished.

        Raises:
            BackendError: a published run; another process writes to it; a symbolic link; the disk cannot be written to.
        """
        self.path, folder = path, path.parent
        if packed(self.path).exists() or is_published(folder):
            raise BackendError(f"{folder} is a published run and cannot be extended. Choose another --out")
        if self.path.is_symlink():
            raise BackendError(f"{self.path} is a symbolic link and is not written to. Choose another --out")
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with disk_errors(self.path):
            self._file = os.open(self.path, flags, 0o644)
        try:
            lock(self._file, folder)
            with disk_errors(self.path):
                os.ftruncate(self._file, _whole(self._file))
        except BaseException:
            os.close(self._file)
            raise

    def write(self, values: Iterable[Any]) -> None:
        """Write values and sync them, all of them or, where they do not fit, none.

        Raises:
            BackendError: the disk is full or cannot be written to.
        """
        lines = bytearray(b"".join(msgspec.json.encode(value) + b"\n" for value in values))
        end = os.fstat(self._file).st_size
        try:
            with disk_errors(self.path):
                while lines:
                    del lines[: os.write(self._file, lines)]
                os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, end)
            raise

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RecordLog(LineLog):
    """Appends records to a run's records.jsonl."""

    def __init__(self, folder: Path) -> None:
        """See `LineLog`."""
        super().__init__(folder / "records.jsonl")

    def append(self, records: Iterable[Record]) -> None:
        """Write records; see `write`.

        Raises:
            BackendError: the disk is full or cannot be written to.
            ConfigError: a record contradicts itself.
        """
        held = list(records)
        for record in held:
            check_record(record, f"question '{record.id}': the answer")
        self.write(held)


def _whole(file: int) -> int:
    """The end of the last complete line."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _CHUNK)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
