"""Truncation: the control that every compressor must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from clara_bench.compress.shared.budget import budget, check_rate, check_tokens
from clara_bench.compress.shared.spans import SEPARATOR, kept_text, left, passage_text, words
from clara_bench.types import Passage, Question


class Truncate:
    """Keeps the first words of each passage, or of all passages together.

    The unit is the word; at most words / rate stay, but one word of each text that has any.
    """

    query_dependent: ClassVar[bool] = False
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `truncate`."""

        rate: float = 4.0
        """Words before per word after."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        each: bool = True
        """Cut every passage; false: cut the passages put together, so that the last ones go."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self.rate = self.options.rate
        self.offline = self.options.each

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The first words, in their order; titles are words too."""
        texts = [text for text in map(passage_text, passages) if text.strip()]
        return left(map(self._cut, texts if self.options.each else [SEPARATOR.join(texts)]))

    def _cut(self, text: str) -> str:
        found = words(text)
        return kept_text(text, found[: budget(len(found), self.rate)])
