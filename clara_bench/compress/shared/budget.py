"""Budgets: how much may be kept, and selection of the best units until the budget is used up.

`rate` is a ratio: at rate 4 a quarter of the units are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def check_rate(rate: float) -> None:
    """Raises ValueError for a rate that is no finite number of at least 1."""
    if not (math.isfinite(rate) and rate >= 1):
        raise ValueError(f"rate must be a number of at least 1 (4 keeps a quarter), got {rate}")


def check_tokens(tokens: int | None) -> None:
    """Raises ValueError for a budget below one token."""
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens must be at least 1, got {tokens}")


def check_fraction(name: str, value: float) -> None:
    """Raises ValueError for a value outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")


def check_positive(name: str, value: int) -> None:
    """Raises ValueError for a value below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def budget(units: int, rate: float) -> int:
    """Units that may stay: `units / rate` rounded down, but one where there are any.

    >>> budget(10, 4), budget(1, 4), budget(0, 4)
    (2, 1, 0)
    """
    return max(int(units / rate), min(units, 1))


def shares(weights: Sequence[float], total: int) -> list[int]:
    """The total split in proportion to the weights, which sum to more than 0; the parts sum to it exactly.

    >>> shares([1, 1, 2], 5)
    [1, 1, 3]
    """
    whole, before, ends = math.fsum(weights), 0.0, [0]
    for weight in weights:
        before += weight
        ends.append(int(total * before / whole + 1e-9))
    ends[-1] = total
    return [end - start for start, end in pairwise(ends)]


def fill(scores: Sequence[float], costs: Sequence[int], total: int) -> list[int]:
    """How much of each unit is kept, taking units best first (earlier first among equals) until `total` is spent.

    The unit that crosses the budget is kept in part, so that what is spent is what was asked.

    >>> fill([0.1, 0.9, 0.5], [4, 4, 4], 6)
    [0, 4, 2]
    """
    kept = [0] * len(costs)
    for unit in sorted(range(len(costs)), key=lambda unit: -scores[unit]):
        kept[unit] = min(costs[unit], total)
        total -= kept[unit]
    return kept
