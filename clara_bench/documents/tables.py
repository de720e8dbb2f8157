"""Tables as rows, with column names from the header: CSV, TSV, xlsx, parquet."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clara_bench.errors import BenchError, DataError, MissingDependency
from clara_bench.io.opening import RATIO, UNPACKED, read_bytes

TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
"""Suffixes of tables."""
DELIMITERS = "\t,;|"


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table.

    Raises:
        DataError: it cannot be read, or a row does not fit the head.
        MissingDependency: the library for its format is not installed.
    """
    data = read_bytes(path)
    with _errors(path):
        if path.suffix.lower() == ".parquet":
            return _parquet(data)
        cells = _sheet(data, path) if path.suffix.lower() == ".xlsx" else _delimited(data, path)
        return _by_head(cells, path)


def delimiter_of(head: str) -> str:
    """What stands between the names of a first line.

    >>> delimiter_of("id;question, in full;answer")
    ';'
    """
    return max(DELIMITERS, key=head.count)


def refuse_bomb(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive of `size` bytes that holds far more than any text packs to.

    Raises:
        ValueError: it does.
    """
    if sum(info.file_size for info in archive.infolist()) > max(UNPACKED, RATIO * size):
        raise ValueError("it unpacks to far more than its size suggests")


def text_of(cell: Any) -> str | None:
    """A cell's text, with numbers and dates as a person would write them; None if it holds no single value.

    >>> text_of(1984.0), text_of(datetime.datetime(2020, 5, 1)), text_of(None)
    ('1984', '2020-05-01', '')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell).strip() if isinstance(cell, str | int | float | datetime.date | datetime.time) else None


def texts_of(cells: dict[str, Any]) -> dict[str, Any]:
    """A row with single values as texts and empty cells as None."""
    return {name: cell if text_of(cell) is None else text_of(cell) or None for name, cell in cells.items()}


def _by_head(rows: list[list[Any]], path: Path) -> list[dict[str, Any]]:
    """Rows by the names in the first one; rows of nothing but empty cells are left out."""
    if not rows:
        raise DataError(f"{path}: no rows. Expected a header, such as id,question,answer")
    head = [str(name or "").strip() for name in rows[0]]
    named = [name for name in head if name]
    if len(set(named)) < len(named):
        raise DataError(f"{path}: its header names a column twice: {', '.join(named)}. Give each its own name")
    found = []
    for number, cells in enumerate(rows[1:], 2):
        if all(cell in (None, "") for cell in cells):
            continue
        if len(cells) > len(head) and any(cell not in (None, "") for cell in cells[len(head) :]):
            raise DataError(
                f"{path}: row {number}: {len(cells)} fields, the header names {len(head)}. "
                "Quote fields that hold a delimiter"
            )
        found.append({name: cell for name, cell in zip(head, cells, strict=False) if name})
    return found


def _delimited(data: bytes, path: Path) -> list[list[Any]]:
    try:
        text = data.decode().lstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte 0x{data[error.start]:02x}). Save the file as UTF-8") from error
    delimiter = delimiter_of(text.partition("\n")[0])
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def _sheet(data: bytes, path: Path) -> list[list[Any]]:
    """The first sheet of a workbook, the values that its formulas had when it was saved."""
    try:
        import openpyxl
    except ImportError as error:
        raise MissingDependency("reading xlsx", "openpyxl", "documents") from error
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        refuse_bomb(archive, len(data))
    with warnings.catch_warnings(action="ignore"):  # openpyxl's, on styles
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        first, *others = book.worksheets
        rows = [list(row) for row in first.iter_rows(values_only=True)]
    if others:
        names = ", ".join(f"'{sheet.title}'" for sheet in others)
        warnings.warn(f"{path}: sheet '{first.title}' is read, not {names}", stacklevel=4)
    while rows and not any(rows[0]):
        rows.pop(0)
    return rows


def _parquet(data: bytes) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependency("reading parquet", "pyarrow", "documents") from error
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return found


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # whatever the libraries come upon in a broken file
        raise DataError(
            f"{path}: the table cannot be read: {type(error).__name__}: {str(error)[:200]}. "
            "Save it again, as CSV or xlsx"
        ) from error
