"""Chunking: a document's text as passages of a fixed number of tokens with overlap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import regex

_TOKEN = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|[\p{L}\p{M}\p{N}_]+|[^\s]"
)
"""A word, a character of a script that sets no blanks between words, or a mark."""
_ENDS = frozenset(".?!…。？！")


@dataclass(frozen=True, slots=True)
class Chunks:
    """How documents are cut."""

    tokens: int = 200
    """Tokens of a passage at most."""
    overlap: int = 40
    """Tokens that a passage shares with the one before it."""
    tokenizer: str = ""
    """Whose tokens are counted: a model's, by hub id or folder; "" for words and marks, the same for every reader."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: says what.
        """
        if self.tokens < 1:
            raise ValueError(f"tokens must be at least 1, got {self.tokens}")
        if not 0 <= self.overlap < self.tokens:
            raise ValueError(f"overlap must be at least 0 and below tokens ({self.tokens}), got {self.overlap}")


class Span(NamedTuple):
    """Span of a token in the text."""

    start: int
    end: int


def cut(text: str, chunks: Chunks) -> list[str]:
    """Passages in order; each ends at the end of a sentence where there is one in its last quarter.

    >>> cut("One two. Three four five. Six", Chunks(tokens=6, overlap=2))
    ['One two. Three four five', 'four five. Six']
    """
    spans = _spans(text, chunks.tokenizer)
    pieces: list[str] = []
    start = 0
    while start < len(spans):
        end = min(start + chunks.tokens, len(spans))
        if end < len(spans):
            end = _at_sentence_end(text, spans, max(start + chunks.overlap + 1, end - chunks.tokens // 4), end)
        pieces.append(text[spans[start].start : spans[end - 1].end])
        start = len(spans) if end == len(spans) else end - chunks.overlap
    return pieces


def _at_sentence_end(text: str, spans: list[Span], least: int, most: int) -> int:
    """The largest number of tokens within the bounds that ends a sentence, else the most."""
    ends = (end for end in range(most, least - 1, -1) if text[spans[end - 1].start : spans[end - 1].end] in _ENDS)
    return next(ends, most)


def _spans(text: str, tokenizer: str) -> list[Span]:
    if not tokenizer:
        return [Span(*found.span()) for found in _TOKEN.finditer(text)]
    from clara_bench.read.models import find, load_tokenizer
    from clara_bench.tokens import Part, encode

    found = encode(load_tokenizer(find(tokenizer, weights=False)), [Part(text)])
    spans = [Span(start, end) for start, end in found.places if end > start]
    assert all(one.start <= other.start for one, other in pairwise(spans)), f"offsets of '{tokenizer}' do not rise"
    return spans
