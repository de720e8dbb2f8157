"""Paired differences between two runs: over their questions, with an interval and a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from clara_bench.metrics.metric import Metric
from clara_bench.metrics.statistics import NO_CONTRASTS, Column, averaged, joined, measured, truths_of
from clara_bench.statistics import intervals
from clara_bench.statistics.intervals import DETECTABLE, Z95, Interval
from clara_bench.statistics.significance import sign_flip
from clara_bench.statistics.trainings import methods
from clara_bench.types import Gold, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


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
    trainings: tuple[int, int] = (1, 1)
    """How often the baseline and the run were trained. Where both were several times, ci95 and p are over questions and
    trainings together: they speak of the methods."""
    ci95_questions: tuple[float, float] | None = None
    """Over questions alone, where there are several trainings."""
    ci95_trainings: tuple[float, float] | None = None
    """Over trainings alone, where both were trained several times."""


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
    truths = truths_of(metrics, golds, contrasts)
    before, after = (measured(metrics, truths, found, contrasts) for found in (baseline, records))
    names = ids or [str(place) for place in range(len(golds))]
    return {name: difference(before[name], after[name], names) for name in before}


def difference(before: Column, after: Column, ids: Sequence[str] = ()) -> Difference:
    """The paired difference of one metric over the same questions; without ids it lists none that changed."""
    both = (before.weights > 0) & (after.weights > 0)
    if not both.any():
        return Difference(None, None, 0, 0, 0)
    moved = _moved(before, after)
    less = after.values[both] - before.values[both]
    listed = len(ids) > 0 and before.binary and after.binary
    flipped = [id for id, there in zip(ids, both, strict=True) if there] if listed else []
    interval = _interval_of_difference(before.metric, moved)
    spread = float(moved.values.std(ddof=1)) if len(less) > 1 else 0.0
    return Difference(
        mean=moved.mean,
        ci95=interval,
        higher=int((less > 0).sum()),
        lower=int((less < 0).sum()),
        n=len(less),
        p=None if interval is None else sign_flip(moved.observations),
        effect=moved.mean / spread if spread else None,
        detectable=_detectable(interval),
        rescued=tuple(id for id, step in zip(flipped, less, strict=False) if step > 0),
        broken=tuple(id for id, step in zip(flipped, less, strict=False) if step < 0),
    )


def _detectable(interval: Interval | None) -> float | None:
    return None if interval is None else (interval[1] - interval[0]) / 2 / Z95 * DETECTABLE


def of_methods(before: Sequence[Column], after: Sequence[Column], ids: Sequence[str] = ()) -> Difference:
    """The difference of two systems, each of which may have been trained several times.

    Args:
        before: the metric in each training of the baseline.
        after: in each training of the other.
        ids: of the questions; () for no lists of those that changed.
    """
    return _with_trainings(difference(averaged(before), averaged(after), ids), [before], [after])


Trainings = Sequence[Column]
"""A metric in each training of a system."""


def over_tasks(pairs: Sequence[tuple[Trainings, Trainings]]) -> Difference:
    """The mean of the differences on several tasks, each counting the same, from what a baseline and a system have.

    The interval is stratified: tasks are not a sample. The test flips the signs of all questions' differences, each
    weighed by one over the questions of its task.
    """
    import numpy as np

    columns = [(averaged(before), averaged(after)) for before, after in pairs]
    each = [difference(before, after) for before, after in columns]
    ends = [one.ci95 for one in each if one.ci95 is not None]
    if len(ends) < len(each):
        return Difference(None, None, 0, 0, 0)
    largest = max(one.n for one in each)
    observed = [_moved(*pair).observations * (largest / one.n) for pair, one in zip(columns, each, strict=True)]
    means = [one.mean for one in each if one.mean is not None]
    interval = intervals.of_mean(means, ends)
    whole = Difference(
        mean=fmean(means),
        ci95=interval,
        higher=sum(one.higher for one in each),
        lower=sum(one.lower for one in each),
        n=sum(one.n for one in each),
        p=sign_flip(np.concatenate(observed)),
        detectable=_detectable(interval),
    )
    return _with_trainings(whole, [before for before, _ in pairs], [after for _, after in pairs])


def _means(tasks: Sequence[Trainings]) -> list[float]:
    """Of each training the mean over the tasks."""
    return [fmean(column.mean() or 0.0 for column in columns) for columns in zip(*tasks, strict=True)]


def _with_trainings(less: Difference, before: Sequence[Trainings], after: Sequence[Trainings]) -> Difference:
    """A difference over questions of some tasks, with the trainings' variance where both have several trainings."""
    counts = len(before[0]), len(after[0])
    if counts == (1, 1) or less.ci95 is None:
        return replace(less, trainings=counts)
    less = replace(less, trainings=counts, ci95_questions=less.ci95)
    if min(counts) < 2 or less.ci95 is None:
        return less
    found = methods(_means(before), _means(after), (less.ci95[1] - less.ci95[0]) / 2 / Z95, less.n)
    return replace(
        less, ci95=found.ci95, p=found.p, ci95_trainings=found.ci95_trainings, detectable=_detectable(found.ci95)
    )


class _Moved(NamedTuple):
    """How far a run is from its baseline."""

    mean: float
    values: Vector
    """Of each question that counts in both what it adds to the mean, times their number."""
    clusters: list[int] | None

    @property
    def observations(self) -> Vector:
        """The values, those of a cluster added up."""
        return self.values if self.clusters is None else intervals.by_cluster(self.values, self.clusters)


def _moved(before: Column, after: Column) -> _Moved:
    both = (before.weights > 0) & (after.weights > 0)
    clusters = _joined(before, after, both)
    if before.metric.divisor is None:
        less = after.values[both] - before.values[both]
        return _Moved(float(less.mean()), less, clusters)
    ratios, moved = [], []
    for column in (before, after):
        above, below = column.sums[both], column.weights[both]
        ratio = float(above.sum() / below.sum())
        ratios.append(ratio)
        moved.append((above - ratio * below) * len(above) / below.sum())
    mean = ratios[1] - ratios[0]
    return _Moved(mean, moved[1] - moved[0] + mean, clusters)


def _interval_of_difference(metric: Metric, moved: _Moved) -> Interval | None:
    values = moved.values
    if len(values) < 2:
        return None
    if metric.unit == "fraction" and moved.clusters is None:
        bound = max(1.0, float(abs(values).max()))
        return intervals.of_bounded(values, -bound, bound)
    return intervals.linear(moved.mean, (values - moved.mean) / len(values), moved.clusters)


def _joined(before: Column, after: Column, both: NDArray[np.bool_]) -> list[int] | None:
    """Clusters of the questions that count in both; None where each stands for itself in one of them."""
    if before.clusters is None or after.clusters is None:
        return None
    kept = both.nonzero()[0]
    return joined([[labels[place] for place in kept] for labels in (before.clusters, after.clusters)])
