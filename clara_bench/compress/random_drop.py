"""Random dropping: the control for compressors that delete words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from clara_bench.compress.shared.budget import budget, check_rate, check_tokens
from clara_bench.compress.shared.spans import kept_text, left, passage_text, words
from clara_bench.io.cache import digest
from clara_bench.types import Passage, Question


class RandomDrop:
    """Keeps words drawn at random from each passage; the same words of the same passage every time.

    The unit is the word; at most words / rate of a passage stay, but one where there are any.
    """

    query_dependent: ClassVar[bool] = False
    rate_is_input: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = False
    offline: ClassVar[bool] = True

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `random-drop`."""

        rate: float = 4.0
        """Words before per word after."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        seed: int = 0
        """Draws other words."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()
        self.rate = self.options.rate

    def compress(self, question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
        """The words drawn, in their order; titles are words too."""
        return left(self._drawn(passage_text(passage)) for passage in passages)

    def _drawn(self, text: str) -> str:
        found = words(text)
        draw = random.Random(digest([str(self.options.seed), text.encode(errors="surrogatepass")]))
        return kept_text(text, draw.sample(found, budget(len(found), self.rate)))
