"""Word splitting for BM25, beyond English.

Letters are composed (Unicode NFC) and in lower case. Marks that belong to letters are part of words, and scripts
without blanks are split into overlapping pairs of characters, as Lucene's CJK analyzer cuts Chinese
and Japanese.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import regex

from clara_bench.text import composed

Analyzer = Literal["latin", "unicode"]

TWO_LETTERS = r"[\p{L}\p{M}\p{N}_]{2,}"
"""A word: at least two letters, with their marks, or digits."""
WITHOUT_BLANKS = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts, with the marks and digits that belong to them."""
OTHER_SHARE = 0.1
"""How much of a corpus may be letters other than Latin, Greek or Cyrillic before it is no longer one of these."""

_SCRIPTS = "".join(rf"\p{{scx={script}}}" for script in WITHOUT_BLANKS)
_RUN = regex.compile(rf"(?V1)([[\p{{L}}\p{{M}}\p{{N}}]&&[{_SCRIPTS}]]+)")
_OTHER = regex.compile(r"(?V1)[\p{L}--[\p{Latin}\p{Greek}\p{Cyrillic}]]")


class Words:
    r"""Cuts texts into words.

    >>> Words()("iPhone手机价格 C")
    ['iphone', '手机', '机价', '价格']
    >>> Words(r"\w+", pairs=False)("iPhone手机价格 C, Ko\u0301smos")
    ['iphone手机价格', 'c', 'kósmos']
    """

    def __init__(self, pattern: str = TWO_LETTERS, pairs: bool = True) -> None:
        """Take a pattern, in the dialect of the library `regex`; without pairs it cuts every script.

        Raises:
            ValueError: the pattern is no regular expression, or one with groups.
        """
        try:
            self._pattern = regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"'{pattern}' is not a regular expression: {error}") from error
        if self._pattern.groups:
            raise ValueError(f"'{pattern}' has groups. Write (?:...) instead of (...)")
        self._in_pairs = pairs

    def __call__(self, text: str) -> list[str]:
        """The words in their order."""
        text = composed(text).lower()
        parts = [text] if text.isascii() or not self._in_pairs else _RUN.split(text)
        cut = (self._spaced, _pairs)  # by turns: what lies between two runs, and a run
        return [word for place, part in enumerate(parts) for word in cut[place % 2](part)]

    def _spaced(self, text: str) -> list[str]:
        return [word for word in self._pattern.findall(text) if word]


def _pairs(run: str) -> list[str]:
    """Pairs of neighbouring characters, vowel signs with their letters; a single character is a word."""
    characters = regex.findall(r"\X", run)
    return ["".join(pair) for pair in pairwise(characters)] or characters


def analyzer_for(texts: Iterable[str]) -> Analyzer:
    """The analyzer that suits a corpus: `latin` while nearly all its letters are Latin, Greek or Cyrillic.

    >>> analyzer_for(["Mao Zedong (毛泽东) was born in Shaoshan."]), analyzer_for(["毛泽东生于韶山。"])
    ('latin', 'unicode')
    """
    others = characters = 0
    for text in texts:
        characters += len(text)
        others += 0 if text.isascii() else len(_OTHER.findall(text))
    return "unicode" if others > OTHER_SHARE * characters else "latin"
