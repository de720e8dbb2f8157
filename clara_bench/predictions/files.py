"""File contents: JSON, JSON lines, delimited text or an archive, detected from the first bytes, not the name."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench.documents.tables import delimiter_of, read_table, refuse_bomb, texts_of
from clara_bench.errors import DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode, decode_lines, refuse_repeated_keys

EXPECTED = "Expected predictions, such as JSON lines of id and answer; docs/predictions.md shows every form"

SHEETS = (".xlsx", ".parquet")


class Row(NamedTuple):
    """One row with its place."""

    where: str
    value: Any


@dataclass(frozen=True, slots=True)
class Content:
    """A file, decoded without knowing its format."""

    path: Path
    rows: tuple[Row, ...] = ()
    """The elements of a JSON array, JSON lines, the rows of a table with a head; the only object of a file, too."""
    whole: dict[str, Any] | None = None
    """The object, where the file is one; None for rows."""
    lines: tuple[str, ...] = ()
    """The lines of text that is no JSON."""

    @property
    def first(self) -> Any:
        """The first row's value; None where there is none."""
        return self.rows[0].value if self.rows else None


def read_content(path: Path) -> Content:
    """A file of predictions.

    Raises:
        DataError: it cannot be read, holds nothing, or is broken.
    """
    if path.suffix.lower() in SHEETS:
        rows = enumerate(read_table(path), 2)
        return Content(path, tuple(Row(f"{path}: row {number}", texts_of(cells)) for number, cells in rows))
    data = read_bytes(path, EXPECTED)
    if data.startswith(b"PK\x03\x04"):
        return Content(path, tuple(_archived(path, data)))
    start = data.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: no rows. {EXPECTED}")
    return _json(path, data) if start in (b"[", b"{") else _text(path, data)


def _json(path: Path, data: bytes) -> Content:
    if data.lstrip()[:1] == b"[":
        found = decode(data, list[Any], str(path), EXPECTED)
        return Content(path, tuple(Row(f"{path}: row {number}", value) for number, value in enumerate(found, 1)))
    lines = [line for line in data.split(b"\n") if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(b"}") and not lines[1].lstrip().startswith((b",", b"}")):
        rows = decode_lines(io.BytesIO(data), dict[str, Any], str(path), EXPECTED)
        return Content(path, tuple(Row(f"{path}: row {number}", value) for number, value in rows))
    where = f"{path}: row 1" if len(lines) == 1 else str(path)
    whole = decode(data, dict[str, Any], where, EXPECTED)
    refuse_repeated_keys(data, where)
    return Content(path, (Row(where, whole),), whole)


def _text(path: Path, data: bytes) -> Content:
    lines = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: row {number}: not UTF-8. Save the file as UTF-8") from error
    try:
        return Content(path, tuple(_table(path, "\n".join(lines))), lines=tuple(lines))
    except csv.Error as error:
        raise DataError(f"{path}: not a table: {error}. {EXPECTED}") from error


def _table(path: Path, text: str) -> Iterator[Row]:
    """Rows of delimited text by the names in its first line; none where the first line has no delimiter."""
    text = text.lstrip()
    head = text.partition("\n")[0]
    delimiter = delimiter_of(head)
    if delimiter in head:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        keys = next(reader)
        for number, cells in enumerate(reader, 2):
            if cells:
                yield Row(f"{path}: row {number}", dict(zip(keys, cells, strict=False)) | _odd(keys, cells))


ODD = "\x00odd"
"""Key, in a table's row, of why it does not fit the head; no head holds it."""


def _odd(keys: list[str], cells: list[str]) -> dict[str, Any]:
    twice = [key for key in keys if key and keys.count(key) > 1]
    if twice:
        return {ODD: f"the head names '{twice[0]}' twice. Give each column its own name"}
    if len(keys) != len(cells):
        return {ODD: f"{len(cells)} fields, the header names {len(keys)}. Quote fields that hold a delimiter"}
    return {}


def _archived(path: Path, data: bytes) -> Iterator[Row]:
    """The samples of a log of inspect."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if _is_sample(info.filename)]
            refuse_bomb(archive, len(data))
            for info in members:
                where = f"{path}: {info.filename}"
                yield Row(where, decode(archive.read(info), dict[str, Any], where, EXPECTED))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: the archive cannot be read: {error}. Turn a log of inspect into JSON with: "
            "inspect log convert --to json"
        ) from error


def _is_sample(name: str) -> bool:
    return name.startswith("samples/") and name.endswith(".json")


def has_keys(value: Any, *keys: str) -> bool:
    """Whether a value is an object with all of these keys."""
    return isinstance(value, dict) and all(key in value for key in keys)
