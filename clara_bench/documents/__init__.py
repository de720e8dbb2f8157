"""Your own documents as a corpus, and your own tables of questions.

    found = read_folder(Path("handbook"), Chunks(tokens=200, overlap=40))
    found.passages["guides/setup.md#2"]    # the second passage of that file

An id is the file's path in the folder and the passage's number; other files do not change it.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clara_bench.documents.chunks import Chunks, cut
from clara_bench.documents.extract import SUFFIXES, read_document
from clara_bench.documents.questions import question_rows
from clara_bench.documents.tables import TABLES, read_table
from clara_bench.errors import DataError
from clara_bench.io.cache import digest
from clara_bench.types import Passage

__all__ = ["SUFFIXES", "TABLES", "Chunks", "Folder", "question_rows", "read_folder", "read_table"]

QUIET = (*TABLES, ".jsonl", ".json", ".toml", ".gz")
"""Files in a documents folder that are not documents: questions, data and the task file."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of documents, cut into passages."""

    passages: Mapping[str, Passage]
    """By id, document by document in the order of their paths."""
    documents: int
    sha256: str
    """Over the documents' paths and texts."""


def read_folder(folder: Path, chunks: Chunks) -> Folder:
    """The documents of a folder and of the folders in it, hidden ones left out, cut into passages.

    Raises:
        DataError: there is none, or one that cannot be read or holds no text.
        MissingDependency: a library for a format that is there is not installed.
    """
    passages: dict[str, Passage] = {}
    parts: list[str] = []
    silent: list[str] = []
    for path in _documents(folder):
        name, document = path.relative_to(folder).as_posix(), read_document(path)
        pieces = cut(document.text, chunks)
        parts += [name, document.title, document.text]
        silent += [] if pieces else [name]
        for number, piece in enumerate(pieces, 1):
            id = f"{_without_blanks(name)}#{number}"
            passages[id] = Passage(id, document.title, piece)
    if silent:
        raise DataError(
            f"{folder}: no text in {', '.join(silent[:10])}{' and more' if len(silent) > 10 else ''}. "
            "If these are scanned pages, run text recognition first; otherwise remove them"
        )
    if not passages:
        raise DataError(f"{folder}: no documents. Expected files ending in {', '.join(SUFFIXES)}")
    return Folder(passages, len(parts) // 3, digest(parts))


def _documents(folder: Path) -> Iterator[Path]:
    """Documents by path; other files are reported once."""
    others: Counter[str] = Counter()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            others["links that lead out of the folder"] += 1
        elif path.suffix.lower() in SUFFIXES:
            yield path
        elif path.suffix.lower() not in QUIET:
            others[path.suffix.lower() or "names without an ending"] += 1
    if others:
        listed = ", ".join(f"{name} ({number})" for name, number in sorted(others.items()))
        warnings.warn(f"{folder}: not read as documents: {listed}. Expected {', '.join(SUFFIXES)}", stacklevel=2)


def _without_blanks(name: str) -> str:
    """A path without blanks and control characters, which run files of rankings cannot carry.

    >>> _without_blanks("My notes (1).md")
    'My%20notes%20(1).md'
    """
    return re.sub(r"[\s%\x00-\x1f\x7f-\x9f]", lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), name)
