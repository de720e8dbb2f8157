"""From one value per question to a mean with a confidence interval, and to a paired difference with a test.

The gold set is the denominator: a question counts whether or not it was answered. Every metric is
a sum of numerators over a sum of denominators, so that means and ratios of sums are one case.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from clara_bench.metrics.case import Case, Truth
from clara_bench.metrics.metric import Metric, failed
from clara_bench.statistics import intervals
from clara_bench.statistics.intervals import DETECTABLE, Z95, Interval
from clara_bench.statistics.significance import sign_flip
from clara_bench.types import Gold, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

NO_CONTRASTS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one metric over a run; n + unscored is the number of questions."""

    mean: float | None
    """None when no question could be scored."""
    ci95: tuple[float, float] | None
    """See docs/statistics.md; None for fewer than two questions, or seconds of fewer than two batches."""
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
    contrasts: Mapping[int, int] = NO_CONTRASTS,
    with_intervals: bool = True,
) -> dict[str, Summary]:
    """Score every question with every metric; the same input gives the same digits on any machine.

    Args:
        metrics: what to compute; the keys of the result are their names, in this order.
        golds: the truth about every question asked.
        records: records[i] answers the question of golds[i]; None where there is no answer.
        contrasts: place of a question to the place of the same question with support taken away.
        with_intervals: whether to compute intervals too.
    """
    found = columns(metrics, golds, records, contrasts)
    return {name: column.summary(with_intervals) for name, column in found.items()}


@dataclass(frozen=True, slots=True)
class Difference:
    """The paired difference of one metric between two runs, over the questions that count in both."""

    mean: float | None
    """The run minus its baseline; None if no question counts in both."""
    ci95: tuple[float, float] | None
    """See docs/statistics.md; None for fewer than two questions, or seconds of fewer than two batches."""
    higher: int
    """Questions with a higher value than the baseline's."""
    lower: int
    n: int
    """Questions that count in both."""
    p: float | None = None
    """Of the paired permutation test, which for 0/1 metrics is the exact McNemar test; not corrected."""
    effect: float | None = None
    """Mean over standard deviation of the questions' differences; None where they do not differ."""
    detectable: float | None = None
    """The smallest true difference that 80 % of samples of this size would find at 0.05, before any correction."""
    rescued: tuple[str, ...] = ()
    """For 0/1 metrics the ids of the questions that went from 0 to 1."""
    broken: tuple[str, ...] = ()
    """From 1 to 0."""


def differences(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    baseline: Sequence[Record | None],
    records: Sequence[Record | None],
    contrasts: Mapping[int, int] = NO_CONTRASTS,
    ids: Sequence[str] = (),
) -> dict[str, Difference]:
    """Paired differences between two runs: questions that are hard for both do not widen the interval.

    Args:
        metrics: what to compare; the keys of the result are their names, in this order.
        golds: the truth about every question asked.
        baseline: baseline[i] answers the question of golds[i]; None where there is no answer.
        records: of the run that is compared with it.
        contrasts: as in `summarise`.
        ids: of the questions; () for their places.
    """
    before, after = (columns(metrics, golds, found, contrasts) for found in (baseline, records))
    names = ids or [str(place) for place in range(len(golds))]
    return {name: _difference(before[name], after[name], names) for name in before}


def _difference(before: Column, after: Column, ids: Sequence[str]) -> Difference:
    both = (before.weights > 0) & (after.weights > 0)
    if not both.any():
        return Difference(None, None, 0, 0, 0)
    size = int(both.sum())
    theirs, ours = (column.values[both] for column in (before, after))
    less, clusters = ours - theirs, _joined(before, after, both)
    if before.metric.divisor is None:
        mean, moved = float(less.mean()), less
    else:
        mean, moved = _of_ratios(before, after, both)
    flipped = [id for id, there in zip(ids, both, strict=True) if there] if before.binary and after.binary else []
    interval = _interval_of_difference(before.metric, mean, moved, clusters)
    spread = float(moved.std(ddof=1)) if size > 1 else 0.0
    return Difference(
        mean=mean,
        ci95=interval,
        higher=int((less > 0).sum()),
        lower=int((less < 0).sum()),
        n=size,
        p=None if interval is None else sign_flip(moved if clusters is None else intervals.by_cluster(moved, clusters)),
        effect=mean / spread if spread else None,
        detectable=None if interval is None else (interval[1] - interval[0]) / 2 / Z95 * DETECTABLE,
        rescued=tuple(id for id, step in zip(flipped, less, strict=False) if step > 0),
        broken=tuple(id for id, step in zip(flipped, less, strict=False) if step < 0),
    )


def _of_ratios(before: Column, after: Column, both: NDArray[np.bool_]) -> tuple[float, Vector]:
    """The difference of two ratios of sums, and what each question adds to it, times the number of questions."""
    ratios, moved = [], []
    for column in (before, after):
        above, below = column.sums[both], column.weights[both]
        ratio = float(above.sum() / below.sum())
        ratios.append(ratio)
        moved.append((above - ratio * below) * len(above) / below.sum())
    mean = ratios[1] - ratios[0]
    return mean, moved[1] - moved[0] + mean


def _interval_of_difference(
    metric: Metric, mean: float, moved: Vector, clusters: Sequence[Hashable] | None
) -> Interval | None:
    if len(moved) < 2:
        return None
    if metric.unit == "fraction":
        bound = max(1.0, float(abs(moved).max()))
        return intervals.of_bounded(moved, -bound, bound)
    return intervals.linear(mean, (moved - mean) / len(moved), clusters)


def _joined(before: Column, after: Column, both: NDArray[np.bool_]) -> list[Hashable] | None:
    """Labels of questions that share a batch in either run, or are linked by such; None where none can."""
    if before.clusters is None or after.clusters is None:
        return None
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Hashable, int] = {}
    ends = [
        [numbers.setdefault((run, column.clusters[place]), len(numbers)) for place in both.nonzero()[0]]
        for run, column in enumerate((before, after))
        if column.clusters is not None
    ]
    edges = coo_array(([1] * len(ends[0]), ends), shape=(len(numbers), len(numbers)))
    _, parts = connected_components(edges, directed=False)
    return [int(parts[place]) for place in ends[0]]


class Column(NamedTuple):
    """One metric over all questions; an unscored one has neither numerator nor denominator."""

    metric: Metric
    numerators: list[float]
    denominators: list[float]
    n: int
    """Questions that are scored."""
    failed: int
    """Questions that count and have no answer."""
    clusters: list[Hashable] | None
    """The batch of each question, where those of one batch share what was measured."""

    @property
    def sums(self) -> Vector:
        """The numerators."""
        import numpy as np

        return np.asarray(self.numerators)

    @property
    def weights(self) -> Vector:
        """The denominators."""
        import numpy as np

        return np.asarray(self.denominators)

    @property
    def values(self) -> Vector:
        """Of each question; 0 where it does not count."""
        import numpy as np

        return np.divide(self.sums, self.weights, out=np.zeros(len(self.numerators)), where=self.weights > 0)

    @property
    def binary(self) -> bool:
        """Whether each question is right or wrong, and nothing between."""
        plain = self.metric.unit == "fraction" and self.metric.divisor is None
        return plain and set(self.numerators) <= {0.0, 1.0}

    def mean(self) -> float | None:
        """None where no question counts."""
        total = math.fsum(self.denominators)
        return math.fsum(self.numerators) / total if total else None

    def summary(self, with_interval: bool = True) -> Summary:
        """Its mean with what it is over."""
        interval = self._interval() if with_interval and self.n > 1 and any(self.denominators) else None
        return Summary(self.mean(), interval, self.n, len(self.numerators) - self.n, self.failed)

    def _interval(self) -> Interval | None:
        if self.binary:
            return intervals.of_share(int(math.fsum(self.numerators)), self.n)
        if self.metric.unit == "fraction" and self.metric.divisor is None:
            values = self.values[self.weights > 0]
            return intervals.of_bounded(values, 0.0, max(1.0, float(values.max())))
        found = intervals.of_ratio(self.sums, self.weights, self.clusters)
        return None if found is None else (max(0.0, found[0]), found[1])


def columns(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    records: Sequence[Record | None],
    contrasts: Mapping[int, int] = NO_CONTRASTS,
) -> dict[str, Column]:
    """Every question's value of every metric; see `summarise`."""
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
    batches = _batches(records)
    return {metric.name: _column(metric, relevant[metric.relevant], cases, batches) for metric in metrics}


def _batches(records: Sequence[Record | None]) -> list[Hashable]:
    """The questions of a batch share its seconds evenly, so they have the same to the last digit."""
    return [
        ("alone", place) if record is None or record.seconds is None else record.seconds
        for place, record in enumerate(records)
    ]


def _column(metric: Metric, relevant: Sequence[bool], cases: Sequence[Case | None], batches: list[Hashable]) -> Column:
    measure, of_failure = metric.measure, metric.of_failure  # looked up once: this loop is most of scoring
    values = [
        (of_failure if case is None else measure(case)) if counts else None
        for counts, case in zip(relevant, cases, strict=True)
    ]
    return Column(
        metric,
        [value or 0.0 for value in values],
        [0.0 if value is None else metric.weight(case) for value, case in zip(values, cases, strict=True)],
        len(values) - values.count(None),
        sum(counts and case is None for counts, case in zip(relevant, cases, strict=True)),
        batches if metric.unit == "seconds" else None,
    )


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
