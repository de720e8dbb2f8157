"""Raw files to rows: JSON arrays, JSON lines, topic lists, plain or gzip; the corpus and the alias table.

Which of the two JSON forms a file has is detected from its first character, not its name (the
official alias table of 2WikiMultihopQA is JSON lines in a file called .json).
"""

from __future__ import annotations

import ast
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clara_bench.datasets.base import content_id
from clara_bench.errors import DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import convert, converter, decode, decode_lines, refusing
from clara_bench.types import Passage

SUFFIXES = (".json", ".jsonl", ".txt", ".tsv")
"""Suffixes of data files, without `.gz`."""

Row = TypeVar("Row", bound=msgspec.Struct)


class CorpusRow(msgspec.Struct):
    """One passage of a corpus file; without an id it gets one from its content."""

    text: str
    title: str = ""
    id: str | None = None
    other_id: str | None = msgspec.field(name="_id", default=None)


class AliasRow(msgspec.Struct):
    """One entity of 2WikiMultihopQA's alias table."""

    entity: str = msgspec.field(name="Q_id")
    aliases: list[str] = []
    demonyms: list[str] = []


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a raw file: .json, .jsonl, or .txt/.tsv topics (`question<TAB>['answer', ...]`), each also .gz.

    Raises:
        DataError: no such file, another kind of file, or a line that cannot be read.
    """
    if base_suffix(path) in {".txt", ".tsv"}:
        return _topics(path)
    return [row for _, row in _rows(path)]


def read_corpus(path: Path) -> dict[str, Passage]:
    """Passages by id, in the file's order, from rows of `text` and, if there are any, `title` and `id`.

    Rows without an id that say the same are one passage.

    Raises:
        DataError: see `read_rows`; also an id that two rows have.
    """
    corpus: dict[str, Passage] = {}
    for where, row in _typed(path, CorpusRow):
        given = row.id or row.other_id
        id = given or content_id(row.title, row.text)
        if given and id in corpus:
            raise DataError(f"{where}: id '{id}' occurs twice. Each passage needs its own id")
        corpus.setdefault(id, Passage(id, row.title, row.text))
    if not corpus:
        raise DataError(f"{path}: no passages. Expected one JSON object a line with id, title and text")
    return corpus


def read_aliases(path: Path) -> dict[str, tuple[str, ...]]:
    """All spellings of each entity: aliases, then demonyms, as the official scorer v1.1 accepts them.

    Source: Alab-NII/2wikimultihop, 2wikimultihop_evaluate_v1.1.py.

    Raises:
        DataError: see `read_rows`.
    """
    return {row.entity: (*row.aliases, *row.demonyms) for _, row in _typed(path, AliasRow)}


def base_suffix(path: Path) -> str:
    """The suffix without `.gz`: `.jsonl` for `dev.jsonl.gz`."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a JSON array or of JSON lines, each with its place."""
    data = _content(path)
    if data.lstrip()[:1] == b"[":
        for number, row in enumerate(decode(data, list[Any], str(path)), 1):
            where = f"{path}: row {number}"
            yield where, convert(row, dict[str, Any], where)
    else:
        for number, row in decode_lines(io.BytesIO(data), dict[str, Any], str(path)):
            yield f"{path}: line {number}", row


def _content(path: Path) -> bytes:
    if base_suffix(path) not in SUFFIXES:
        raise DataError(f"{path}: cannot tell what it holds. Expected a name ending in {', '.join(SUFFIXES)} (or .gz)")
    return read_bytes(path)


def _typed(path: Path, kind: type[Row]) -> Iterator[tuple[str, Row]]:
    """Rows of one type with their places; unknown fields are reported once."""
    converted, known = converter(kind), set(kind.__struct_encode_fields__)
    unread: set[str] = set()
    for where, raw in _rows(path):
        with refusing(where):
            row = converted(raw)
        unread |= raw.keys() - known
        yield where, row
    if unread:
        warnings.warn(f"{path}: not read, since nothing asks for it: {', '.join(sorted(unread))}", stacklevel=2)


def _topics(path: Path) -> list[dict[str, Any]]:
    lines = [(number, line) for number, line in enumerate(io.BytesIO(_content(path)), 1) if not line.isspace()]
    with warnings.catch_warnings(action="ignore"):  # Python's own, on what looks odd in a literal
        return [_topic(line, f"{path}: line {number}") for number, line in lines]


def _topic(line: bytes, where: str) -> dict[str, Any]:
    """One line of an Anserini topic file: a question, a tab, a Python list of its answers."""
    try:
        question, literal = line.decode().rstrip("\r\n").split("\t")
        answers = ast.literal_eval(literal)
        msgspec.json.encode(answers)  # a literal may hold what is no text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, OverflowError) as error:
        raise DataError(f"{where}: expected a question, a tab and a Python list of answers") from error
    if not isinstance(answers, list):
        raise DataError(f"{where}: expected a Python list of answers, got {type(answers).__name__}")
    return {"question": question, "answer": answers}
