"""A run on disk: what was asked, what was answered, and how to read both again.

    runs/<task>/<label>/<setting>-<identity>/
        manifest.json     everything needed to repeat the run
        questions.jsonl   the questions as the system saw them, each with its gold
        records.jsonl     one answer a line, appended and synced batch by batch
        scores.json       computed from the two files above, never edited

Published runs (under results/) hold the same files, the two large ones gzipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clara_bench.cache import digest, disk_errors, write_atomic
from clara_bench.errors import BackendError, DataError
from clara_bench.types import FAILURES, Example, Record

T = TypeVar("T")

SCHEMA = 1
"""Version of the files' layout; a reader refuses any other."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory that has a manifest."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def examples(self) -> list[Example]:
        """The questions with their golds, in the order asked."""
        return _decode_lines(self.path / "questions.jsonl", Example)

    def records(self) -> list[Record]:
        """The answers so far; a last line cut short by a kill is left out."""
        return read_records(self.path)


def open_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        DataError: no manifest, not JSON, or written by another version.
    """
    file = path / "manifest.json"
    if not file.is_file():
        raise DataError(f"{path} is not a run: it has no manifest.json. Runs lie at <task>/<system>/<run>")
    try:
        manifest = msgspec.json.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        raise DataError(f"{file}: not JSON: {error}") from error
    found = manifest.get("schema") if isinstance(manifest, dict) else None
    if found != SCHEMA:
        raise DataError(
            f"{file}: schema {found!r}, expected {SCHEMA}. It was written by another version of clara-bench"
        )
    return Run(path, manifest)


def find_runs(root: Path) -> list[Run]:
    """Every run below a folder (or the folder itself), in a stable order.

    Raises:
        DataError: the folder is not there or holds no run.
    """
    if not root.exists():
        raise DataError(f"no such folder: {root}. Make runs with: clara-bench run")
    files = sorted(root.rglob("manifest.json"))
    if not files:
        raise DataError(f"{root} holds no runs (no manifest.json below it). Make some with: clara-bench run")
    return [open_run(file.parent) for file in files]


def identity(parts: Mapping[str, Any]) -> str:
    """Twelve hex digits that differ whenever anything that could change an answer differs."""
    return digest([msgspec.json.encode(parts, order="deterministic")])[:12]


def json_bytes(value: Any) -> bytes:
    """Indented JSON with a final newline; the same value always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json whole or not at all."""
    write_atomic(path / "manifest.json", json_bytes({"schema": SCHEMA, **manifest}))


def write_questions(path: Path, examples: Sequence[Example]) -> None:
    """Write questions.jsonl once; it never changes afterwards."""
    write_atomic(path / "questions.jsonl", _lines(examples))


def read_records(path: Path) -> list[Record]:
    """The answers in a run directory, gzipped or not; [] before the first.

    A failed question that was asked again has two lines; the later one counts.

    Raises:
        DataError: a line other than an unfinished last one does not parse, or a question that
            did not fail is answered twice.
    """
    latest: dict[str, Record] = {}
    lines = _decode_lines(path / "records.jsonl", Record, unfinished_last_line=True)
    for number, record in enumerate(lines, 1):
        earlier = latest.get(record.id)
        if earlier is not None and earlier.answer.status not in FAILURES:
            raise DataError(f"{path / 'records.jsonl'}:{number}: a second answer to question '{record.id}'")
        latest[record.id] = record
    return list(latest.values())


class RecordLog:
    """Appends answers to records.jsonl, each batch in one synced write; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path / "records.jsonl"
        with disk_errors(self.path):
            self._file = self.path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BackendError(f"another process is writing to {path}. Wait for it or choose another --out") from None
        self._drop_unfinished_line()

    def _drop_unfinished_line(self) -> None:
        data = self.path.read_bytes()
        self._file.truncate(data.rfind(b"\n") + 1)

    def append(self, records: Sequence[Record]) -> None:
        """Write a batch and sync it; on a full disk nothing of the batch stays.

        Raises:
            BackendError: the disk is full or cannot be written to.
        """
        end = self._file.seek(0, os.SEEK_END)
        try:
            with disk_errors(self.path):
                self._file.write(_lines(records))
                self._file.flush()
                os.fsync(self._file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), end)
            raise

    def close(self) -> None:
        """Give the file back."""
        with contextlib.suppress(OSError):  # a batch that did not fit was cut off already
            self._file.close()

    def __enter__(self) -> RecordLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def publish(run: Run, root: Path) -> Path:
    """Copy a run to results/, large files gzipped (without a time stamp, so the bytes are stable).

    Raises:
        DataError: the run is not finished.
    """
    asked, answered = len(run.examples), len(run.records())
    if answered < asked:
        raise DataError(f"{run.path}: {answered} of {asked} questions are answered. Finish the run first")
    target = root / str(run.manifest["task"]["name"]) / str(run.manifest["system"]["label"]) / run.path.name
    for name in ("questions.jsonl", "records.jsonl"):
        write_atomic(target / f"{name}.gz", gzip.compress(read_bytes(run.path / name), mtime=0))
    for name in ("scores.json", "manifest.json"):  # the manifest last: it makes the folder a run
        write_atomic(target / name, (run.path / name).read_bytes())
    return target


def read_bytes(path: Path) -> bytes:
    """A file's bytes, from the plain file or its .gz twin; b"" when there is neither."""
    if path.is_file():
        return path.read_bytes()
    packed = path.with_name(f"{path.name}.gz")
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else b""


def _lines(values: Iterable[Any]) -> bytes:
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)


def _decode_lines(path: Path, kind: type[T], unfinished_last_line: bool = False) -> list[T]:
    lines = read_bytes(path).split(b"\n")
    rest = lines.pop()
    if rest and not unfinished_last_line:
        raise DataError(f"{path}: the last line is not finished")
    return list(_decoded(lines, kind, path))


def _decoded(lines: Iterable[bytes], kind: type[T], path: Path) -> Iterator[T]:
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(lines, 1):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise DataError(f"{path}:{number}: not a {kind.__name__.lower()}: {error}") from error
