"""From one value a question to a mean with an interval.

The gold set is the denominator: a question counts whether or not it was answered. Every metric is
a sum of numerators over a sum of denominators, so that means and ratios of sums are one case.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric, failed
from clara_bench.types import Gold, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CHUNK = 50
"""Resamples drawn at a time: 50 of 12,576 questions are 5 MB."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one metric says of a run; n + unscored is the number of questions."""

    mean: float | None
    """None when no question could be scored."""
    ci95: tuple[float, float] | None
    """Percentile bootstrap over questions; None for fewer than two of them."""
    n: int
    """Questions that the mean is over, failures among them (except for costs)."""
    unscored: int
    """Questions the metric does not apply to, or whose cost is unknown."""
    failed: int
    """Questions the metric applies to that were never answered or failed: zeros among the n, or unscored costs."""


def summarise(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    records: Sequence[Record | None],
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Summary]:
    """Score every question with every metric; the same input gives the same bits on any machine.

    Args:
        metrics: what to compute; the keys of the result are their names, in this order.
        golds: the truth about every question asked.
        records: records[i] answers the question of golds[i]; None where there is no answer.
        seed: seed of the bootstrap.
        resamples: how often to resample; 0 for no intervals.
    """
    assert len(golds) == len(records), f"{len(golds)} golds, {len(records)} records"
    truths = [Truth(gold) for gold in golds]
    _warn_of_empty_references(metrics, truths)
    cases = [
        None if record is None or failed(record) else Case(truth, record)
        for truth, record in zip(truths, records, strict=True)
    ]
    relevant = {rule: list(map(rule, truths)) for rule in {metric.relevant for metric in metrics}}
    columns = [_column(metric, relevant[metric.relevant], cases) for metric in metrics]
    intervals = _intervals(columns, seed, resamples)
    return {
        metric.name: _summary(column, interval)
        for metric, column, interval in zip(metrics, columns, intervals, strict=True)
    }


class Column(NamedTuple):
    """One metric over all questions; an unscored one has neither numerator nor denominator."""

    numerators: list[float]
    denominators: list[float]
    n: int
    """Questions that are scored."""
    failed: int
    """Questions that count and have no answer."""


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
    total = math.fsum(column.denominators)
    mean = math.fsum(column.numerators) / total if total else None
    unscored = len(column.numerators) - column.n
    return Summary(mean, interval if column.n > 1 else None, column.n, unscored, column.failed)


def _intervals(columns: Sequence[Column], seed: int, resamples: int) -> list[tuple[float, float] | None]:
    """A 95 % percentile interval for each column; the resamples are shared, so columns can be compared."""
    import numpy as np

    size = len(columns[0].numerators) if columns else 0
    if size < 2 or resamples < 1:
        return [None] * len(columns)
    numerators = _exact([column.numerators for column in columns])
    denominators = _exact([column.denominators for column in columns])
    random = np.random.default_rng(seed)
    above, below = [], []
    for start in range(0, resamples, CHUNK):
        counts = _counts(random, min(CHUNK, resamples - start), size)
        above.append(counts @ numerators)
        below.append(counts @ denominators)
    return [_interval(*pair) for pair in zip(np.concatenate(above).T, np.concatenate(below).T, strict=True)]


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


def _interval(numerators: Matrix, denominators: Matrix) -> tuple[float, float] | None:
    """From the 2.5th to the 97.5th percentile of the resampled ratios, both of them observed values."""
    import numpy as np

    there = denominators > 0
    if not there.any():
        return None
    low, high = np.quantile(numerators[there] / denominators[there], [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _warn_of_empty_references(metrics: Sequence[Metric], truths: Sequence[Truth]) -> None:
    """Say when questions fall out because every reference normalises to nothing, such as ")" or "---"."""
    if not any(metric.family == "answer" for metric in metrics):
        return
    bare = [truth.gold.answers for truth in truths if truth.gold.answerable and not truth.scorable]
    if bare:
        warnings.warn(
            f"{len(bare)} of {len(truths)} questions have no accepted answer that normalises to any text "
            f"(first: {list(bare[0])}): answer metrics leave them unscored",
            stacklevel=3,
        )
