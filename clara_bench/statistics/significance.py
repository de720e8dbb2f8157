"""Tests of paired differences, and what is left of them when many are made at once.

Exact or by formula, never by drawing: a verdict does not turn on a seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

LEVEL = 0.05
ENUMERATED = 16
"""Non-zero differences up to which all signs are tried."""
LARGEST_DENOMINATOR = 60
"""Differences that are all multiples of 1/1 to 1/60 are known to lie on a grid."""


def sign_flip(differences: Vector) -> float:
    """Two-sided p-value of the paired permutation test: how often random signs give as large a sum.

    For differences of one size (0/1 metrics) it is the exact McNemar test; for up to 16 that are not 0 all signs are
    tried; for more it is Robinson's saddlepoint formula (Journal of the Royal Statistical Society B 1982).

    >>> import numpy
    >>> sign_flip(numpy.array([1.0, 1, 1, 1, 1, 1, 0, 0])), sign_flip(numpy.zeros(9))
    (0.03125, 1.0)
    """
    import numpy as np

    sizes = np.abs(differences)
    moved = differences[sizes > 1e-9 * sizes.max(initial=0.0)]
    if not len(moved):
        return 1.0
    sizes = np.abs(moved)
    if np.ptp(sizes) <= 1e-9 * sizes.max():
        return mcnemar(int((moved > 0).sum()), int((moved < 0).sum()))
    if len(moved) <= ENUMERATED:
        return _enumerated(moved)
    return _saddlepoint(abs(float(moved.sum())), sizes / sizes.max(), float(sizes.max()))


def mcnemar(rescued: int, broken: int) -> float:
    """Two-sided p-value of the exact McNemar test: of the sign test over the questions that changed.

    >>> mcnemar(8, 1), mcnemar(0, 0)
    (0.0390625, 1.0)
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(rescued, broken), rescued + broken, 0.5)))


def _enumerated(moved: Vector) -> float:
    import numpy as np

    sums = np.zeros(1)
    for size in np.abs(moved):
        sums = np.concatenate([sums + size, sums - size])
    return float((np.abs(sums) >= abs(moved.sum()) * (1 - 1e-9)).mean())


def _saddlepoint(total: float, sizes: Vector, largest: float) -> float:
    """How often the absolute sum of `largest * sizes` with random signs is `total` or more."""
    import numpy as np

    held, counts = np.unique(sizes, return_counts=True)
    aim = total / largest - _half_step(held * largest) / largest
    most = float(counts @ held)
    if aim >= most * (1 - 1e-12):  # all signs are the same
        return math.ldexp(1.0, 1 - len(sizes))
    if aim <= 0:
        return 1.0
    low, high = 0.0, 1.0
    while float(counts @ (held * np.tanh(high * held))) < aim:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(counts @ (held * np.tanh(middle * held))) < aim else (low, middle)
    return _upper_tails(high, aim, held, counts)


def _upper_tails(tilt: float, aim: float, held: Vector, counts: NDArray[np.int64]) -> float:
    import numpy as np
    from scipy.special import ndtr

    lifted = tilt * held
    log_cosh = np.logaddexp(lifted, -lifted) - math.log(2)
    root = math.sqrt(max(0.0, 2 * (tilt * aim - float(counts @ log_cosh))))
    spread = tilt * math.sqrt(float(counts @ (held / np.cosh(np.minimum(lifted, 300))) ** 2))
    if root < 1e-4:
        return 1.0
    return min(1.0, 2 * float(ndtr(-(root + math.log(spread / root) / root))))


def _half_step(held: Vector) -> float:
    """Half the distance between possible sums, where values lie on a grid; 0 where they do not."""
    import numpy as np

    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        steps = held * denominator
        if np.abs(steps - np.rint(steps)).max() < 1e-9 * max(1.0, float(steps.max())):
            return float(np.gcd.reduce(np.rint(steps).astype(np.int64))) / denominator
    return 0.0


def holm(values: Sequence[float]) -> list[float]:
    """P-values corrected so that one false claim among all has a chance of 5 % (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    stepped = [values[place] * (len(values) - rank) for rank, place in enumerate(order)]
    return _placed(order, accumulate(stepped, max))


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """P-values corrected so that of the claims 5 % are false on average (Benjamini & Hochberg 1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    stepped = [values[place] * len(values) / (len(values) - rank) for rank, place in enumerate(order)]
    return _placed(order, accumulate(stepped, min))


def _placed(order: Sequence[int], values: Iterable[float]) -> list[float]:
    found = dict(zip(order, values, strict=True))
    return [min(1.0, found[place]) for place in range(len(order))]
