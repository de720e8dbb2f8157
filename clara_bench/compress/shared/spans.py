"""Spans of a text, and the text that remains when only some of them are kept.

Compressors that delete work on positions, not on strings: the output then consists of the input's characters in the
input's order, in any language.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import regex

from clara_bench.types import Passage

_ALONE = "\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_UNPARTED = r"\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}"
_BLANK = r"\s\x1c-\x1f"  # the last ones as Python sees it
_WORD = regex.compile(rf"[{_ALONE}]|[{_UNPARTED}]\p{{M}}*|[^{_BLANK}{_ALONE}{_UNPARTED}]+")
SEPARATOR = "\n\n"
"""Between two passages, where a model is shown several as one text."""


class Span(NamedTuple):
    """Characters [start, end) of a text."""

    start: int
    end: int


def passage_text(passage: Passage) -> str:
    r"""A passage as readers see it.

    >>> passage_text(Passage("p1", "Oslo", "The capital of Norway."))
    'Oslo\nThe capital of Norway.'
    """
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def words(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Words between blanks; in scripts without blanks each letter is a word: Chinese, kana, Thai, Lao, Burmese, Khmer.

    >>> [span.end for span in words("Oslo, 1814: 奥斯陆")]
    [5, 11, 13, 14, 15]
    """
    return [Span(*match.span()) for match in _WORD.finditer(text, start, len(text) if end is None else end)]


def count_words(text: str) -> int:
    """Number of `words` in the text."""
    return len(words(text))


def kept_text(text: str, spans: Iterable[Span]) -> str:
    r"""The text of the spans; a gap that contained a blank or line break becomes one.

    >>> kept_text("Oslo\nThe capital of Norway.", [Span(0, 4), Span(9, 16), Span(20, 27)])
    'Oslo\ncapital Norway.'
    """
    parts: list[str] = []
    end = None
    for span in sorted(spans):
        if end is not None:
            parts.append(_gap(text[end : span.start]))
        parts.append(text[span.start : span.end])
        end = span.end
    return "".join(parts)


def _gap(between: str) -> str:
    if not between.strip():
        return between
    if "\n" in between:
        return "\n"
    return " " if any(map(str.isspace, between)) else ""


def left(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts of which something is left."""
    return tuple(text for text in texts if text)
