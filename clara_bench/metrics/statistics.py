"""From one value per question to a mean with a confidence interval.

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
from clara_bench.statistics.intervals import Interval
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


class Column(NamedTuple):
    """One metric over all questions; an unscored one has neither numerator nor denominator."""

    metric: Metric
    numerators: Sequence[float] | Vector
    denominators: Sequence[float] | Vector
    n: int
    """Questions that are scored."""
    failed: int
    """Questions that count and have no answer."""
    clusters: list[int] | None
    """Number of the cluster of each question: of its batch, where those of one batch share what was measured."""

    @property
    def sums(self) -> Vector:
        """The numerators."""
        import numpy as np

        return np.asarray(self.numerators, np.float64)

    @property
    def weights(self) -> Vector:
        """The denominators."""
        import numpy as np

        return np.asarray(self.denominators, np.float64)

    @property
    def values(self) -> Vector:
        """Of each question; 0 where it does not count."""
        import numpy as np

        return np.divide(self.sums, self.weights, out=np.zeros(len(self.numerators)), where=self.weights > 0)

    @property
    def binary(self) -> bool:
        """Whether each question is right or wrong, and nothing between."""
        plain = self.metric.unit == "fraction" and self.metric.divisor is None
        return plain and bool(((self.sums == 0) | (self.sums == 1)).all())

    def mean(self) -> float | None:
        """None where no question counts."""
        total = math.fsum(self.denominators)
        return math.fsum(self.numerators) / total if total else None

    def summary(self, with_interval: bool = True) -> Summary:
        """Its mean with what it is over."""
        interval = self._interval() if with_interval and self.n > 1 and any(self.denominators) else None
        return Summary(self.mean(), interval, self.n, len(self.numerators) - self.n, self.failed)

    def _interval(self) -> Interval | None:
        if self.binary and self.clusters is None:
            return intervals.of_share(int(math.fsum(self.numerators)), self.n)
        if self.metric.unit == "fraction" and self.metric.divisor is None and self.clusters is None:
            values = self.values[self.weights > 0]
            return intervals.of_bounded(values, 0.0, max(1.0, float(values.max())))
        found = intervals.of_ratio(self.sums, self.weights, self.clusters)
        return None if found is None else (max(0.0, found[0]), found[1])


def averaged(columns: Sequence[Column]) -> Column:
    """One metric of several trainings of a system: of each question the mean over those that count in all of them.

    For a ratio of sums the sums of all are added.
    """
    import numpy as np

    first = columns[0]
    if len(columns) == 1:
        return first
    counts = np.logical_and.reduce([column.weights > 0 for column in columns])
    share = 1 if first.metric.divisor else len(columns)
    clusters = [column.clusters for column in columns if column.clusters is not None]
    return Column(
        first.metric,
        np.where(counts, np.add.reduce([column.sums for column in columns]) / share, 0.0),
        np.where(counts, np.add.reduce([column.weights for column in columns]) / share, 0.0),
        int(counts.sum()),
        sum(column.failed for column in columns),
        joined(clusters) if clusters else None,
    )


def joined(clusters: Sequence[Sequence[int]]) -> list[int]:
    """Numbers of questions that share a cluster in one of the lists, or are linked by such.

    >>> joined([[0, 0, 1, 2], [0, 1, 2, 2]])
    [0, 0, 0, 0]
    >>> joined([[0, 0, 1], [5, 6, 7]])
    [0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size, starts = len(clusters[0]), [0]
    for labels in clusters:
        starts.append(starts[-1] + max(labels, default=-1) + 1)
    questions = [place for _ in clusters for place in range(size)]
    held = [size + start + label for labels, start in zip(clusters, starts, strict=False) for label in labels]
    total = size + starts[-1]
    edges = coo_array(([1] * len(held), (questions, held)), shape=(total, total))
    _, parts = connected_components(edges, directed=False)
    return [int(part) for part in parts[:size]]


def columns(
    metrics: Sequence[Metric],
    golds: Sequence[Gold],
    records: Sequence[Record | None],
    contrasts: Mapping[int, int] = NO_CONTRASTS,
) -> dict[str, Column]:
    """Every question's value of every metric; see `summarise`."""
    return measured(metrics, truths_of(metrics, golds, contrasts), records, contrasts)


def truths_of(metrics: Sequence[Metric], golds: Sequence[Gold], contrasts: Mapping[int, int]) -> list[Truth]:
    """The golds, each to be normalised once however many runs are scored with them."""
    partners = [contrasts.get(place) for place in range(len(golds))]
    truths = [
        Truth(gold, None if partner is None else golds[partner]) for gold, partner in zip(golds, partners, strict=True)
    ]
    _warn_of_empty_references(metrics, truths)
    return truths


def measured(
    metrics: Sequence[Metric], truths: Sequence[Truth], records: Sequence[Record | None], contrasts: Mapping[int, int]
) -> dict[str, Column]:
    """As `columns`, with golds that several runs share."""
    assert len(truths) == len(records), f"{len(truths)} golds, {len(records)} records"
    partners = [contrasts.get(place) for place in range(len(truths))]
    cases = [
        None if record is None or failed(record) else Case(truth, record, None if other is None else records[other])
        for truth, record, other in zip(truths, records, partners, strict=True)
    ]
    relevant = {rule: list(map(rule, truths)) for rule in {metric.relevant for metric in metrics}}
    batches = _batches(records)
    return {metric.name: _column(metric, relevant[metric.relevant], cases, batches) for metric in metrics}


def _batches(records: Sequence[Record | None]) -> list[int]:
    """The questions of a batch share its seconds evenly, so they have the same to the last digit."""
    numbers: dict[Hashable, int] = {}
    labels: list[Hashable] = [
        ("alone", place) if record is None or record.seconds is None else record.seconds
        for place, record in enumerate(records)
    ]
    return [numbers.setdefault(label, len(numbers)) for label in labels]


def _column(metric: Metric, relevant: Sequence[bool], cases: Sequence[Case | None], batches: list[int]) -> Column:
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
            stacklevel=4,
        )
