"""Columns and texts as a page holds them: gzip in base64, which a browser unpacks without a library.

Strings pass `text` before they are packed. The page adds them as text alone, so this is for the eyes of readers.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from clara_bench.io.escaping import for_terminal, shortened

LEVEL = 6
LONGEST = 20_000
"""Characters of an answer or passage; of longer ones the middle is left out."""
NONE = 255
"""A value that is not there, among bytes."""


def packed(content: bytes) -> str:
    """Bytes, compressed; the same bytes always give the same text."""
    return base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode()


def packed_json(value: Any) -> str:
    """Plain values and dataclasses."""
    return packed(msgspec.json.encode(value))


def bytes_of(values: Iterable[int | None]) -> bytes:
    r"""Small numbers, `NONE` for none.

    >>> bytes_of([1, None, 0])
    b'\x01\xff\x00'
    """
    return bytes(NONE if value is None else value for value in values)


def steps(values: Iterable[float | None]) -> bytes:
    r"""Fractions in steps of 0.005: as much as a cell of a table shows.

    >>> steps([0.5, None, 1.0])
    b'd\xff\xc8'
    """
    return bytes_of(None if value is None else min(200, round(200 * value)) for value in values)


def text(said: str) -> str:
    """Text from data or a model: without what turns the direction of writing, and not endless."""
    return for_terminal(shortened(said, LONGEST))


def texts(value: Any) -> Any:
    """Plain values, all strings in them passed through `text`."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(str(key)): texts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [texts(one) for one in value]
    return value
