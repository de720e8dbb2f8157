"""A question's gold and one answer to it, each normalised once for all metrics.

Scoring makes a few hundred thousand small comparisons. Shared values are computed here on first use and
kept with their question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from clara_bench.text import answer_words, normalise, normalise_keeping_articles, words
from clara_bench.types import Gold, Record, Triple


class Normal(NamedTuple):
    """A text after SQuAD's normalisation."""

    text: str
    tokens: list[str]


class Overlap(NamedTuple):
    """How far two texts share their tokens, each in [0, 1]."""

    f1: float
    precision: float
    """Shared tokens per token of the answer."""
    recall: float
    """Shared tokens per token of the reference."""


NO_OVERLAP = Overlap(0.0, 0.0, 0.0)
FULL_OVERLAP = Overlap(1.0, 1.0, 1.0)


def normal(text: str) -> Normal:
    """The text and its tokens, normalised."""
    normalised = normalise(text)
    return Normal(normalised, normalised.split())


def overlap(answer: Sequence[str], reference: Sequence[str]) -> Overlap:
    """Multiset overlap of two token lists; none when either is empty (SQuAD v1.1).

    >>> overlap(["new", "new", "york", "times"], ["new", "york"])
    Overlap(f1=0.6666666666666666, precision=0.5, recall=1.0)
    """
    counts = Counter(reference)
    shared = sum(min(number, counts[token]) for token, number in Counter(answer).items() if token in counts)
    if not shared:
        return NO_OVERLAP
    precision, recall = shared / len(answer), shared / len(reference)
    return Overlap(2 * precision * recall / (precision + recall), precision, recall)


# The two classes below are frozen but without slots, which cached properties cannot live with.


@dataclass(frozen=True)
class Truth:
    """A Gold with its answers normalised."""

    gold: Gold
    contrast: Gold | None = None
    """The same question with support taken away, where the data set asks each question both ways (MuSiQue-Full)."""

    @cached_property
    def references(self) -> tuple[Normal, ...]:
        """Every accepted answer, first reference first."""
        return tuple(map(normal, self.gold.answers))

    @cached_property
    def scorable(self) -> bool:
        """Whether there is an answer to be right about: answerable, and a reference with tokens left."""
        return self.gold.answerable and any(reference.tokens for reference in self.references)

    @cached_property
    def as_written(self) -> tuple[str, ...]:
        """Every accepted answer in lower case, and no further normalised."""
        return tuple(answer.strip().lower() for answer in self.gold.answers)

    @cached_property
    def reference_words(self) -> tuple[str, ...]:
        """The references as DPR searches for them."""
        return answer_words(self.gold.answers)

    @cached_property
    def steps(self) -> tuple[frozenset[Triple], ...]:
        """The evidence, normalised: one set of accepted spellings a step."""
        return tuple(frozenset(map(normal_triple, step)) for step in self.gold.evidences)


@dataclass(frozen=True)
class Case:
    """One answer and its gold."""

    truth: Truth
    record: Record
    contrast: Record | None = None
    """What was said to the contrast; None where there is none, or no answer to it."""

    @cached_property
    def answer(self) -> Normal:
        """The answer, normalised."""
        return normal(self.record.answer.text)

    @cached_property
    def answer_words(self) -> str:
        """The answer as DPR would search it."""
        return words(self.record.answer.text)

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """Token overlap with each reference, in the references' order."""
        return tuple(overlap(self.answer.tokens, reference.tokens) for reference in self.truth.references)

    @cached_property
    def gold_ranks(self) -> list[int]:
        """Ranks, from 1, rising, of the supporting passages; a passage listed twice counts where it is first."""
        ranking = dict.fromkeys(ranked.passage_id for ranked in self.record.answer.retrieved or ())
        supporting = self.truth.gold.supporting
        return [rank for rank, passage_id in enumerate(ranking, 1) if passage_id in supporting]


def normal_triple(triple: Triple) -> Triple:
    """A triple in lower case without punctuation; its articles stay (2WikiMultihopQA v1.1)."""
    return Triple(*map(normalise_keeping_articles, triple))
