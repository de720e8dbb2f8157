"""From one value per question to a mean with a confidence interval.

The gold set is the denominator: a question counts whether or not it was answered. Every metric is
a sum of numerators over a sum of denominators, so that means and ratios of sums are one case.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric, failed
from clara_bench.types import Gold, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]

NO_CONTRASTS: Mapping[int, int] = MappingProxyType({})

CHUNK = 50
"""Resamples drawn at a time: 50 of 12,576 questions are 5 MB."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one metric over a run; n + unscored is the number of questions."""

    mean: float | None
    """None when no question could be scored."""
    ci95: tuple[float, float] | None
    """Percentile bootstrap over questions; None for fewer than two of them."""
    n: int
    """Questions that the mean is over, failures among them (except for costs)."""
    unscored: int
    """Questions the metric does not apply to, or whose cost is unknown."""
    failed: int
    """Applicable questions that failed or have no answer: zeros among the n, or unscored costs."""


def summarise(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    records: Sequence[Record | None],
    seed: int = 0,
    resamples: int = 1000,
    contrasts: Mapping[int, int] = NO_CONTRASTS,
) -> dict[str, Summary]:
    """Score every question with every metric; the same input gives the same bits on any machine.

    Args:
        metrics: what to compute; the keys of the result are their names, in this order.
        golds: the truth about every question asked.
        records: records[i] answers the question of golds[i]; None where there is no answer.
        seed: seed of the bootstrap.
        resamples: how often to resample; 0 for no intervals.
        contrasts: place of a question to the place of the same question with support taken away.
    """
    columns = _columns(metrics, golds, records, contrasts)
    intervals = [_interval(_ratios(*sums)) for sums in _resampled(columns, seed, resamples)]
    return {
        metric.name: _summary(column, interval)
        for metric, column, interval in zip(metrics, columns, intervals or [None] * len(columns), strict=True)
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """The paired difference of one metric between two runs."""

    mean: float | None
    """The run minus its baseline; None if one of them could not be scored."""
    ci95: tuple[float, float] | None
    """Percentile bootstrap of the difference, both resampled alike; None for fewer than two questions."""
    higher: int
    """Questions with a higher value than the baseline's."""
    lower: int
    n: int
    """Questions that count in both."""


def differences(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    baseline: Sequence[Record | None],
    records: Sequence[Record | None],
    seed: int = 0,
    resamples: int = 1000,
    contrasts: Mapping[int, int] = NO_CONTRASTS,
) -> dict[str, Difference]:
    """Paired differences between two runs: questions that are hard for both do not widen the interval.

    Args:
        metrics: what to compare; the keys of the result are their names, in this order.
        golds: the truth about every question asked.
        baseline: baseline[i] answers the question of golds[i]; None where there is no answer.
        records: of the run that is compared with it.
        seed: seed of the bootstrap.
        resamples: how often to resample; 0 for no intervals.
        contrasts: as in `summarise`.
    """
    before, after = (_columns(metrics, golds, found, contrasts) for found in (baseline, records))
    sums = _resampled([*before, *after], seed, resamples)
    intervals = [
        _interval(_ratios(*mine) - _ratios(*theirs))
        for theirs, mine in zip(sums[: len(before)], sums[len(before) :], strict=True)
    ]
    return {
        metric.name: _difference(theirs, mine, interval)
        for metric, theirs, mine, interval in zip(
            metrics, before, after, intervals or [None] * len(before), strict=True
        )
    }


def _difference(before: Column, after: Column, interval: tuple[float, float] | None) -> Difference:
    both = [bool(a and b) for a, b in zip(before.denominators, after.denominators, strict=True)]
    pairs = [(x, y) for x, y, counts in zip(before.values(), after.values(), both, strict=True) if counts]
    means = before.mean(), after.mean()
    return Difference(
        mean=None if means[0] is None or means[1] is None else means[1] - means[0],
        ci95=interval if len(pairs) > 1 else None,
        higher=sum(y > x for x, y in pairs),
        lower=sum(y < x for x, y in pairs),
        n=len(pairs),
    )


class Column(NamedTuple):
    """One metric over all questions; an unscored one has neither numerator nor denominator."""

    numerators: list[float]
    denominators: list[float]
    n: int
    """Questions that are scored."""
    failed: int
    """Questions that count and have no answer."""

    def values(self) -> list[float]:
        """Of each question; 0 where it does not count."""
        return [a / b if b else 0.0 for a, b in zip(self.numerators, self.denominators, strict=True)]

    def mean(self) -> float | None:
        """None where no question counts."""
        total = math.fsum(self.denominators)
        return math.fsum(self.numerators) / total if total else None


def _columns(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    records: Sequence[Record | None],
    contrasts: Mapping[int, int],
) -> list[Column]:
    assert len(golds) == len(records), f"{len(golds)} golds, {len(records)} records"
    partners = [contrasts.get(place) for place in range(len(golds))]
    truths = [
        Truth(gold, None if partner is None else golds[partner]) for gold, partner in zip(golds, partners, strict=True)
    ]
    _warn_of_empty_references(metrics, truths)
    cases = [
        None if record is None or failed(record) else Case(truth, record, None if other is None else records[other])
        for truth, record, other in zip(truths, records, partners, strict=True)
    ]
    relevant = {rule: list(map(rule, truths)) for rule in {metric.relevant for metric in metrics}}
    return [_column(metric, relevant[metric.relevant], cases) for metric in metrics]


def _column(metric: Metric, relevant: Sequence[bool], cases: Sequence[Case | None]) -> Column:
    measure, of_failure = metric.measure, metric.of_failure  # looked up once: this loop is most of scoring
    values = [
        (of_failure if case is None else measure(case)) if counts else None
        for counts, case in zip(relevant, cases, strict=True)
    ]
    return Column(
        [value or 0.0 for value in values],
        [0.0 if value is None else metric.weight(case) for value, case in zip(values, cases, strict=True)],
        len(values) - values.count(None),
        sum(counts and case is None for counts, case in zip(relevant, cases, strict=True)),
    )


def _summary(column: Column, interval: tuple[float, float] | None) -> Summary:
    unscored = len(column.numerators) - column.n
    return Summary(column.mean(), interval if column.n > 1 else None, column.n, unscored, column.failed)


def _resampled(columns: Sequence[Column], seed: int, resamples: int) -> list[tuple[Vector, Vector]]:
    """Of each column the sums of numerators and of denominators, (resamples,) each; [] where there are none.

    The resamples are shared, so columns can be compared.
    """
    import numpy as np

    size = len(columns[0].numerators) if columns else 0
    if size < 2 or resamples < 1:
        return []
    numerators = _exact([column.numerators for column in columns])
    denominators = _exact([column.denominators for column in columns])
    random = np.random.default_rng(seed)
    above, below = [], []
    for start in range(0, resamples, CHUNK):
        counts = _counts(random, min(CHUNK, resamples - start), size)
        above.append(counts @ numerators)
        below.append(counts @ denominators)
    return list(zip(np.concatenate(above).T, np.concatenate(below).T, strict=True))


def _counts(random: np.random.Generator, resamples: int, size: int) -> Matrix:
    """How often each question is drawn in each resample."""
    import numpy as np

    draws = random.integers(0, size, (resamples, size))  # (resamples, questions)
    return np.stack([np.bincount(draw, minlength=size) for draw in draws]).astype(np.float64)


def _exact(columns: Sequence[Sequence[float]]) -> Matrix:
    """The table as (questions, columns), rounded so that the sums of a resample are exact in any order.

    Matrix products add in an order that differs between machines and thread counts. Multiples of a
    power of two whose sums stay below 2**53 of it are added without rounding. Fractions move by less
    than 1e-11 for it where there are 12,576 questions.
    """
    import numpy as np

    values = np.asarray(columns, dtype=np.float64).T
    _, exponents = np.frexp(len(values) * np.abs(values).max(axis=0))  # a column's sums are below 2**exponent
    grid = np.ldexp(1.0, np.maximum(exponents, -900) - 52)  # never so small that it is 0
    return np.asarray(np.round(values / grid) * grid)


def _ratios(numerators: Vector, denominators: Vector) -> Vector:
    """Their ratios, NaN where nothing counts."""
    import numpy as np

    return np.divide(numerators, denominators, out=np.full_like(numerators, np.nan), where=denominators > 0)


def _interval(values: Vector) -> tuple[float, float] | None:
    """From the 2.5th to the 97.5th percentile of resampled values, both of them observed ones."""
    import numpy as np

    there = values[~np.isnan(values)]
    if not there.size:
        return None
    low, high = np.quantile(there, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _warn_of_empty_references(metrics: Sequence[Metric], truths: Sequence[Truth]) -> None:
    """Say when questions fall out because every reference normalises to nothing, such as ")" or "---"."""
    if not any(metric.family == "answer" for metric in metrics):
        return
    asked = [truth for truth in truths if truth.gold.answerable and truth.gold.answers]
    bare = [truth.gold.answers for truth in asked if not truth.scorable]
    if bare:
        warnings.warn(
            f"{len(bare)} of {len(truths)} questions have no accepted answer that normalises to any text "
            f"(first: {list(bare[0])}): answer metrics leave them unscored",
            stacklevel=3,
        )
