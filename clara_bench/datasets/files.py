"""Raw files to rows: JSON arrays, JSON lines, topic lists, plain or gzip; the corpus and the alias table.

Which of the two JSON forms a file has is told from its first character, not its name (the
official alias table of 2WikiMultihopQA is JSON lines in a file called .json).
"""

from __future__ import annotations

import ast
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clara_bench.datasets.base import content_id
from clara_bench.errors import DataError
from clara_bench.types import Passage

SUFFIXES = (".json", ".jsonl", ".txt", ".tsv")
"""What a data file's name may end with, `.gz` left off."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")


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
        return [_topic(line, where) for where, line in _lines(path, _read_bytes(path))]
    return list(_decode(path, dict))


def read_corpus(path: Path) -> dict[str, Passage]:
    """Passages by id, in the file's order, from rows of `text` and, if there are any, `title` and `id`.

    Rows without an id that say the same are one passage.

    Raises:
        DataError: see `read_rows`; also an id that two rows have.
    """
    corpus: dict[str, Passage] = {}
    for number, row in enumerate(_decode(path, CorpusRow), 1):
        given = row.id or row.other_id
        id = given or content_id(row.title, row.text)
        if given and id in corpus:
            raise DataError(f"{path}: row {number}: id '{id}' occurs twice. Each passage needs its own id")
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
    return {row.entity: (*row.aliases, *row.demonyms) for row in _decode(path, AliasRow)}


def convert(row: Any, row_type: type[T], where: str) -> T:
    """A row checked against a Struct.

    Raises:
        DataError: `where`, the field, what was expected and what was found.
    """
    try:
        return msgspec.convert(row, row_type)
    except msgspec.ValidationError as error:
        raise DataError(f"{where}: {plain_message(error)}") from error


def plain_message(error: msgspec.MsgspecError) -> str:
    """A decoding error in the words of the rest of our errors.

    >>> plain_message(msgspec.ValidationError("Expected `str`, got `int` - at `$.answer`"))
    'expected str at $.answer, got int'
    """
    text = str(error).replace("`", "")
    match = re.fullmatch(r"(?P<what>.*?)(?P<got>, got .*?)? - at (?P<path>\S+)", text)
    if match:
        text = f"{match['what']} at {match['path']}{match['got'] or ''}"
    return text if text.startswith("JSON") else text[:1].lower() + text[1:]


def base_suffix(path: Path) -> str:
    """The suffix that says what a file holds: `.jsonl` for `dev.jsonl.gz`."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _read_bytes(path: Path) -> bytes:
    if base_suffix(path) not in SUFFIXES:
        raise DataError(f"{path}: cannot tell what it holds. Expected a name ending in {', '.join(SUFFIXES)} (or .gz)")
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).removeprefix(_BYTE_ORDER_MARK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}). Fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Check the path") from error


def _lines(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Lines that are not blank, each with its place."""
    for number, line in enumerate(io.BytesIO(data), 1):
        if not line.isspace():
            yield f"{path}: line {number}", line


def _decode(path: Path, row_type: type[T]) -> Iterator[T]:
    data = _read_bytes(path)
    if data.lstrip()[:1] == b"[":
        yield from _decode_array(data, row_type, path)
        return
    decoder = msgspec.json.Decoder(row_type)
    for where, line in _lines(path, data):
        try:
            yield decoder.decode(line)
        except _UNREADABLE as error:
            raise DataError(f"{where}: {_reason(error)}") from error


def _decode_array(data: bytes, row_type: type[T], path: Path) -> list[T]:
    try:
        return msgspec.json.decode(data, type=list[row_type])  # type: ignore[valid-type]
    except _UNREADABLE as error:
        text = re.sub(r"\$\[(\d+)\]", lambda match: f"row {int(match[1]) + 1}", _reason(error))
        raise DataError(f"{path}: {text}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.MsgspecError):
        return plain_message(error)
    return "nested too deeply" if isinstance(error, RecursionError) else f"not UTF-8: {error}"


def _topic(line: bytes, where: str) -> dict[str, Any]:
    """One line of an Anserini topic file: a question, a tab, a Python list of its answers."""
    try:
        question, answers = line.decode().rstrip("\r\n").split("\t")
        return {"question": question, "answer": ast.literal_eval(answers)}
    except (ValueError, SyntaxError) as error:
        raise DataError(f"{where}: expected a question, a tab and a Python list of answers") from error
