"""Files of documents: JSONL, one document per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from clara_bench import DataError
from clara_bench.io.opening import read_lines
from clara_bench.io.parsing import decode_lines


class _Document(msgspec.Struct):
    text: str = ""
    title: str = ""
    docs: list[str] = []


def read_documents(path: Path) -> Iterator[str]:
    """The documents of a JSONL file, .gz too: `text`, with a `title` if there is one, or `docs`.

    Raises:
        DataError: the file cannot be read, or a line holds no document; says which.
    """
    lines = read_lines(path, "Expected JSON, one document a line")
    for number, found in decode_lines(lines, _Document, str(path)):
        yield from _texts(found, f"{path}: line {number}")


def _texts(found: _Document, where: str) -> list[str]:
    texts = found.docs or [found.text]
    if not all(text.strip() for text in texts):
        raise DataError(f"{where}: no document, expected `text` or `docs`")
    return [f"{found.title}\n{text}" if found.title else text for text in texts]
