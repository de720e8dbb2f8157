"""Which tokens of a document stand for it: those of its most telling words (`clara_bench.text.by_salience`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from clara_bench.text import by_salience


class Chooser:
    """Chooses tokens of documents for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @cached_property
    def _pieces(self) -> list[str]:
        """Each token of the vocabulary as text."""
        return self._tokenizer.batch_decode([[token] for token in range(len(self._tokenizer))])

    def words(self, ids: Sequence[int]) -> list[range]:
        """Places of each word's tokens: letters and digits that no blank parts; other tokens are words of their own."""
        pieces = [self._pieces[token] for token in ids]
        starts = [place for place in range(len(pieces)) if not place or _begins(pieces[place - 1], pieces[place])]
        return [range(start, end) for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True)]

    def places(self, ids: Sequence[int], count: int) -> list[int]:
        """Places of `count` tokens in their order: whole words while they fit, best first, then the first of the next.

        Args:
            ids: of the document, without specials.
            count: at most their number.
        """
        words = self.words(ids)
        texts = ["".join(self._pieces[ids[place]] for place in word) for word in words]
        ranked = [words[number] for number in by_salience(texts)]
        kept: list[int] = []
        for word in ranked:
            kept += word if len(kept) + len(word) <= count else ()
        taken = set(kept)
        rest = [place for word in ranked for place in word if place not in taken]
        return sorted(kept + rest[: count - len(kept)])


def _begins(before: str, piece: str) -> bool:
    return not piece[:1].isalnum() or not before[-1:].isalnum()
