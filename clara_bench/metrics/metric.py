"""A metric: a named value that scores one answer against its gold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from clara_bench.components.registry import Built
from clara_bench.metrics.case import Case, Truth
from clara_bench.types import FAILURES, Gold, Record

Family = Literal["answer", "retrieval", "support", "cost"]
Part = Literal["answer", "retrieval", "passages", "support", "evidence", "answerable"]
"""What a run may or may not predict; `passages` are retrieved ones that the data know by id."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; its name is printed, parsed, stored and used as column header."""

    name: str
    description: str
    """What it is, with its formula; ends up in docs/metrics.md."""
    citation: str
    """Where the definition comes from; empty when it is our own."""
    unit: str
    """Of the mean: fraction, tokens, words, seconds, dollars or ratio."""
    higher_is_better: bool
    family: Family
    relevant: Callable[[Truth], bool]
    """Whether the metric says something about a question, decided from the truth alone."""
    measure: Callable[[Case], float | None]
    """The numerator; None where this answer cannot be scored."""
    divisor: Callable[[Case], float] | None = None
    """The denominator of a ratio of sums; None for a mean, where every question weighs 1."""
    needs: frozenset[Part] = frozenset()
    """What must be predicted for it; where a whole run predicts none, the metric does not apply to the run."""
    plugin: Built | None = None
    """What computes it, where that is a plug-in; `measure` is then to be had from `clara_bench.judging.bound`."""

    def __str__(self) -> str:
        return self.name

    def applies(self, gold: Gold, contrast: Gold | None = None) -> bool:
        """Whether the question counts for this metric, decided from the gold alone."""
        return self.relevant(Truth(gold, contrast))

    def score(self, gold: Gold, record: Record | None) -> float | None:
        """The value for one question; None where the metric does not apply or cannot be had.

        No record and a failure are 0, except for costs, which a failed question does not have.
        """
        parts = self.parts(gold, record)
        return parts[0] / parts[1] if parts and parts[1] else None

    def parts(self, gold: Gold, record: Record | None) -> tuple[float, float] | None:
        """Numerator and denominator for one question, summed apart over the questions; None as in `score`."""
        truth = Truth(gold)
        if not self.relevant(truth):
            return None
        case = None if record is None or failed(record) else Case(truth, record)
        value = self.of_failure if case is None else self.measure(case)
        return None if value is None else (value, self.weight(case))

    @property
    def of_failure(self) -> float | None:
        """The numerator of a question without an answer."""
        return None if self.family == "cost" else 0.0

    def weight(self, case: Case | None) -> float:
        """The denominator that belongs to a numerator; `case` is None for a question without an answer."""
        return 1.0 if self.divisor is None or case is None else self.divisor(case)


def failed(record: Record | None) -> bool:
    """Whether a question has no answer to score: never answered, or failed trying."""
    return record is None or record.answer.status in FAILURES
