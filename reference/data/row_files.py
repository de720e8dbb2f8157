"""Files of training rows, one per line, in the formats of paper_forms.py: read in full, read by position, written."""

from __future__ import annotations

import gzip
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import msgspec

from clara_bench import DataError
from clara_bench.io.opening import read_lines
from clara_bench.io.parsing import decoder, refusing
from reference.data.paper_forms import FORMS, Form
from reference.data.row import Row


def read_pretrain(path: Path) -> Iterator[Row]:
    """The rows of a compressor pretraining file.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["pretrain"])


def read_instruct(path: Path) -> Iterator[Row]:
    """The rows of an instruction tuning file, one question each.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["instruct"])


def read_joint(path: Path) -> Iterator[Row]:
    """The rows of an end-to-end training file: a question, its candidates, and which of them support the answer.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["joint"])


def write_pretrain(rows: Iterable[Row], path: Path) -> int:
    """Write rows of one document each, one row per line; returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["pretrain"])


def write_instruct(rows: Iterable[Row], path: Path) -> int:
    """Write rows, one turn per line (turns of one row share its id); returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["instruct"])


def write_joint(rows: Iterable[Row], path: Path) -> int:
    """Write rows with their candidates, one turn per line; returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["joint"])


EXPECTED = "Expected JSON, one row a line, or that as .gz"


def _read(path: Path, form: Form) -> Iterator[Row]:
    decoded = decoder(form.line)
    for number, text in enumerate(read_lines(path, EXPECTED), 1):
        if text.strip():
            yield _row(decoded, form, text, path, number)


def _row(decoded: Callable[[bytes], Any], form: Form, text: bytes, path: Path, number: int) -> Row:
    with refusing(f"{path}: line {number}"):  # what a form finds wrong is a ValueError too
        return form.row(decoded(text), f"{path.name}:{number}")


def _write(rows: Iterable[Row], path: Path, form: Form) -> int:
    """Writes through a temporary file, so that an interrupted write never looks complete."""
    number = 0
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as raw, _packed(raw, path) as stream:
            for row in rows:
                if not row.turns:
                    raise DataError(f"{path}: row {row.id!r} cannot be written: it has no turns")
                for line in form.lines(row):
                    _writable(form, line, row, path)
                    stream.write(msgspec.json.encode(line) + b"\n")
                    number += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return number


def _packed(raw: IO[bytes], path: Path) -> Any:
    if path.suffix != ".gz":
        return nullcontext(raw)
    return gzip.GzipFile("", "wb", fileobj=raw, mtime=0)  # noqa: TID251


def _writable(form: Form, line: Any, row: Row, path: Path) -> None:
    try:
        form.row(line, row.id)
    except ValueError as error:
        raise DataError(f"{path}: row {row.id!r} cannot be written: {error}") from error


class Lines:
    """The rows of a JSONL file, read from disk when asked for; those of a .gz are held in memory."""

    def __init__(self, path: Path, form: str, together: bool = False) -> None:
        """Reads the whole file once, to check it and to note where its lines start.

        Args:
            path: the file.
            form: pretrain, instruct or joint.
            together: make one row of lines that follow each other with the same id and documents.

        Raises:
            DataError: a bad line, or no rows at all; says which.
        """
        self._path, self._form, self._together = path, FORMS[form], together
        self._decoded = decoder(self._form.line)
        self._held = tuple(self._rows(_read(path, self._form))) if path.suffix == ".gz" else None
        self._starts = array("Q")
        self._numbers = array("Q")
        if self._held is None:
            self._find()
        self.size = len(self._starts) if self._held is None else len(self._held)
        if not self.size:
            raise DataError(f"{path}: no rows")

    def _find(self) -> None:
        start, last = 0, None
        for number, text in enumerate(read_lines(self._path, EXPECTED), 1):
            if text.strip():
                row = _row(self._decoded, self._form, text, self._path, number)
                if not self._together or last is None or _shared(row) != _shared(last):
                    self._starts.append(start)
                    self._numbers.append(number)
                last = row
            start += len(text)

    def __getitem__(self, position: int) -> Row:
        if self._held is not None:
            return self._held[position]
        return next(self._rows(self._from(position)))

    def _from(self, position: int) -> Iterator[Row]:
        with self._path.open("rb") as stream:
            stream.seek(self._starts[position])
            for number, text in enumerate(stream, self._numbers[position]):
                if text.strip():
                    yield _row(self._decoded, self._form, text, self._path, number)

    def _rows(self, lines: Iterator[Row]) -> Iterator[Row]:
        if not self._together:
            return lines
        same = (list(rows) for _, rows in groupby(lines, key=_shared))
        return (replace(rows[0], turns=tuple(turn for row in rows for turn in row.turns)) for rows in same)


def _shared(row: Row) -> tuple[str, tuple[str, ...]]:
    return row.id, row.documents
