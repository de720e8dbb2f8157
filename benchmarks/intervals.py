"""Coverage of intervals and false-positive rates of tests, on data shaped like ours.

python -m benchmarks.intervals prints the tables of docs/statistics.md (minutes); the tests run small versions. What
can be computed is computed (0/1 metrics); the rest is simulated, with a standard error of 0.7 points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from clara_bench.statistics import intervals
from clara_bench.statistics.significance import holm, mcnemar, sign_flip

Vector = NDArray[np.float64]
SIZES = (100, 500, 2000, 12_576)
SHARES = (0.01, 0.02, 0.05, 0.2, 0.5, 0.9, 0.99)
ZEROS = (0.5, 0.8, 0.9, 0.95, 0.98)
PARTIAL = np.array([0.2, 0.25, 1 / 3, 0.4, 0.5, 4 / 7, 2 / 3, 0.8])
"""F1 of answers that are partly right; 60 % of those that are not wrong are right."""
BATCH = 20


def f1_values(random: np.random.Generator, size: int, zeros: float) -> Vector:
    """F1 of `size` questions, a fraction of them 0."""
    values = np.where(random.random(size) < 0.6, 1.0, random.choice(PARTIAL, size))
    return np.where(random.random(size) < zeros, 0.0, values)


def f1_mean(zeros: float) -> float:
    return (1 - zeros) * float(0.6 + 0.4 * PARTIAL.mean())


def f1_pairs(random: np.random.Generator, size: int, zeros: float) -> Vector:
    """Differences of two systems that are equally good and agree on 70 % of the questions."""
    less = f1_values(random, size, zeros) - f1_values(random, size, zeros)
    return np.where(random.random(size) < 0.7, 0.0, less)


def seconds(random: np.random.Generator, size: int) -> tuple[Vector, list[int]]:
    """Seconds per question (mean 1) in batches of 20 with skewed durations, and the batch of each question."""
    batches = random.lognormal(-0.125, 0.5, max(2, size // BATCH))
    return np.repeat(batches, BATCH), np.repeat(np.arange(len(batches)), BATCH).tolist()


def _counts(size: int, share: float) -> NDArray[np.int64]:
    """All counts except those with a probability below 1e-9."""
    low, high = binom.ppf([1e-9, 1 - 1e-9], size, share)
    return np.arange(low, high + 1, dtype=np.int64)


def coverage_of_share(share: float, size: int, interval: Callable[[int, int], intervals.Interval]) -> float:
    """The exact coverage of an interval of a proportion, over all counts weighted by their probability."""
    counts = _counts(size, share)
    covered = [low <= share <= high for low, high in (interval(int(count), size) for count in counts)]
    return float(binom.pmf(counts, size, share) @ covered)


def percentile_bootstrap(successes: int, size: int) -> intervals.Interval:
    """The percentile bootstrap of a proportion, in the limit of infinitely many resamples."""
    low, high = binom.ppf([0.025, 0.975], size, successes / size) / size
    return float(low), float(high)


def coverage_of_f1(zeros: float, size: int, samples: int) -> float:
    random, truth = np.random.default_rng(0), f1_mean(zeros)
    found = [intervals.of_bounded(f1_values(random, size, zeros), 0.0, 1.0) for _ in range(samples)]
    return float(np.mean([low <= truth <= high for low, high in found]))


def coverage_of_difference(zeros: float, size: int, samples: int) -> float:
    random = np.random.default_rng(0)
    found = [intervals.of_bounded(f1_pairs(random, size, zeros), -1.0, 1.0) for _ in range(samples)]
    return float(np.mean([low <= 0 <= high for low, high in found]))


def coverage_of_seconds(size: int, samples: int, by_batch: bool = True) -> float:
    random, covered = np.random.default_rng(0), 0
    for _ in range(samples):
        values, batches = seconds(random, size)
        found = intervals.of_ratio(values, np.ones(len(values)), batches if by_batch else None)
        covered += found is not None and found[0] <= 1 <= found[1]
    return covered / samples


def false_positives_of_mcnemar(changed: float, size: int) -> float:
    """The false-positive rate of the exact test for equal systems that differ on a fraction of the questions."""
    counts = _counts(size, changed)
    rates = []
    for count in map(int, counts):
        worst = next((k for k in range(count // 2, -1, -1) if mcnemar(k, count - k) < 0.05), -1)
        rates.append(2 * float(binom.cdf(worst, count, 0.5)))
    return float(binom.pmf(counts, size, changed) @ rates)


def false_positives_of_f1(zeros: float, size: int, samples: int) -> float:
    random = np.random.default_rng(0)
    return float(np.mean([sign_flip(f1_pairs(random, size, zeros)) < 0.05 for _ in range(samples)]))


def family_wise(tests: int, size: int, samples: int) -> float:
    """The family-wise error rate of Holm over `tests` comparisons of equal systems with one baseline."""
    random, wrong = np.random.default_rng(0), 0
    for _ in range(samples):
        baseline = f1_values(random, size, 0.8)
        others = [np.where(random.random(size) < 0.7, baseline, f1_values(random, size, 0.8)) for _ in range(tests)]
        wrong += min(holm([sign_flip(other - baseline) for other in others])) < 0.05
    return wrong / samples


def tables(samples: int = 1000) -> str:
    """All tables as Markdown."""
    sizes = [f"{size:,}" for size in SIZES]
    parts = [
        _table(["EM", *(f"n = {size}" for size in sizes), *(f"bootstrap, n = {size}" for size in sizes[:2])], [
            [f"{share:g}", *(coverage_of_share(share, size, intervals.of_share) for size in SIZES),
             *(coverage_of_share(share, size, percentile_bootstrap) for size in SIZES[:2])]
            for share in SHARES]),
        _table(["F1, zeros", *(f"n = {size}" for size in sizes)],
               [[f"{zeros:.0%}", *(coverage_of_f1(zeros, size, samples) for size in SIZES)] for zeros in ZEROS]),
        _table(["change of F1, zeros", *(f"n = {size}" for size in sizes)],
               [[f"{zeros:.0%}", *(coverage_of_difference(zeros, size, samples) for size in SIZES)]
                for zeros in ZEROS]),
        _table(["seconds", *(f"n = {size}" for size in sizes)],
               [[name, *(coverage_of_seconds(size, samples, by) for size in SIZES)]
                for name, by in (("by batch", True), ("as if each question stood alone", False))]),
        _table(["false positives", *(f"n = {size}" for size in sizes)], [
            *([f"EM, {share:.0%} changed", *(false_positives_of_mcnemar(share, size) for size in SIZES)]
              for share in (0.02, 0.1, 0.3)),
            *([f"F1, {zeros:.0%} zeros", *(false_positives_of_f1(zeros, size, samples) for size in SIZES)]
              for zeros in ZEROS)]),
        f"Any false claim among 48 comparisons with one baseline (F1, n = 500), after Holm: "
        f"{family_wise(48, 500, samples // 4):.1%}.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    lines = [list(head), ["---"] + ["---:"] * (len(head) - 1)]
    lines += [[one if isinstance(one, str) else f"{100 * one:.1f}" for one in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(tables())
