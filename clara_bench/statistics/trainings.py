"""What several trainings of a system say of its method: how far they spread, and how two methods differ.

An interval over questions holds the trainings fixed. A claim about a method needs trainings as well: their means are a
small sample, and Student's distribution says how little a few of them tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import NamedTuple

from clara_bench.statistics.intervals import DIGITS, Interval


@dataclass(frozen=True, slots=True)
class Spread:
    """The means of several trainings of one system."""

    trainings: int
    lowest: float
    highest: float
    deviation: float
    """Standard deviation of the trainings' means."""
    ci95: Interval
    """Student's interval of their mean, over trainings alone."""


def spread(means: Sequence[float]) -> Spread:
    """How far at least two trainings spread.

    >>> spread([0.652, 0.702, 0.736]).ci95
    (0.591703886667, 0.801629446666)
    """
    deviation = stdev(means)
    half = _half(0.05, (deviation / math.sqrt(len(means)), len(means) - 1))
    return Spread(len(means), min(means), max(means), deviation, _around(fmean(means), half))


class Methods(NamedTuple):
    """How two methods differ, each trained several times."""

    ci95: Interval
    """Over trainings and questions together."""
    p: float
    ci95_trainings: Interval
    """Over trainings alone (Welch's)."""


def methods(before: Sequence[float], after: Sequence[float], error: float, questions: int) -> Methods:
    """The difference of two methods; half its interval is the root of the two halves' squares.

    Over trainings alone it is Welch's interval; that over questions is added as Zou & Donner add (Statistics in
    Medicine 2008), so that the whole is never narrower than a part.

    Args:
        before: mean of each training of the baseline.
        after: of the other method.
        error: standard error of their difference over questions.
        questions: how many these are, or their clusters.
    """
    less = fmean(after) - fmean(before)
    parts = [(variance(means) / len(means), len(means) - 1) for means in (before, after)]
    total = math.fsum(part for part, _ in parts)
    freedom = total**2 / math.fsum(part**2 / degrees for part, degrees in parts) if total else 1.0
    sides = (math.sqrt(total), freedom), (error, float(max(1, questions - 1)))
    return Methods(_around(less, _half(0.05, *sides)), _p(abs(less), *sides), _around(less, _half(0.05, sides[0])))


def _half(level: float, *sides: tuple[float, float]) -> float:
    """Half an interval at a level, from standard errors and their degrees of freedom."""
    from scipy.special import stdtrit

    return math.hypot(*(error * float(stdtrit(freedom, 1 - level / 2)) for error, freedom in sides))


def _p(size: float, *sides: tuple[float, float]) -> float:
    """The level at which half an interval is as long as a difference."""
    if not size:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _half(middle, *sides) > size else (low, middle)
    return high


def _around(middle: float, half: float) -> Interval:
    return round(middle - half, DIGITS), round(middle + half, DIGITS)
