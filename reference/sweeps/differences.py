"""How far each estimator of a sweep ends from the first one, over trainings, corrected over the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from clara_bench.statistics.significance import LEVEL, holm
from reference.settings.config import Config
from reference.sweeps.cells import Cell, cells
from reference.sweeps.table import SCORES, evaluations

HEAD = ["rate", "stage", "estimator", "minus", "score", "difference", "95 % CI", "p Holm", "verdict"]


class Difference(NamedTuple):
    """Between the trainings of two estimators after the same steps."""

    rate: int
    stage: str
    estimator: str
    baseline: str
    score: str
    """recall@1, recall@5 or em."""
    mean: float
    low: float
    """Welch's 95 % CI over trainings."""
    high: float
    p: float

    def row(self, p_holm: float) -> list[str]:
        """For `HEAD`; the family is the table."""
        verdict = "undecided" if p_holm >= LEVEL else "higher" if self.mean > 0 else "lower"
        ends = f"{self.low:+.3f} to {self.high:+.3f}"
        name = "EM" if self.score == "em" else self.score
        return [
            str(self.rate), self.stage, self.estimator, self.baseline, name, f"{self.mean:+.3f}", ends, f"{p_holm:.2g}",
            verdict,
        ]  # fmt: skip


def table(config: Config, out: Path) -> list[list[str]]:
    """A row for each estimator and score, after the last step that all trainings reached.

    The questions are the same for all trainings, so the test is over trainings alone: what it finds holds of other
    trainings on these questions. There is no row with fewer than two trainings a side, or where none of them differ.

    Raises:
        BenchError: see `cells`; a damaged log.
    """
    found = list(differences(config, out))
    return [one.row(p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]


def differences(config: Config, out: Path) -> Iterator[Difference]:
    """Each estimator minus the first of the sweep."""
    groups: dict[tuple[int, str], dict[str, list[Cell]]] = {}
    for cell in cells(config):
        groups.setdefault((cell.rate, cell.stage), {}).setdefault(cell.estimator, []).append(cell)
    for (rate, stage), by_estimator in groups.items():
        ended = _ends([[evaluations(cell, out) for cell in group] for group in by_estimator.values()])
        for estimator, scores in list(zip(by_estimator, ended, strict=True))[1:]:
            for score in SCORES:
                sides = [[one[score] for one in of] for of in (ended[0], scores)]
                if all(len(side) > 1 for side in sides) and any(len(set(side)) > 1 for side in sides):
                    baseline = next(iter(by_estimator))
                    yield Difference(rate, stage, estimator, baseline, score, *_welch(*sides))


def _ends(trained: Sequence[Sequence[dict[int, dict[str, float]]]]) -> list[list[dict[str, float]]]:
    """By estimator the scores of its trainings after the last step that all of them have."""
    begun = [[one for one in group if one] for group in trained]
    steps = [set(one) for group in begun for one in group]
    last = max(set.intersection(*steps), default=None) if steps else None
    return [[one[last] for one in group] if last is not None else [] for group in begun]


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float, float]:
    """The difference of two means, both ends of its interval, and p."""
    from scipy.stats import ttest_ind

    tested = ttest_ind(after, before, equal_var=False)
    ends = tested.confidence_interval(0.95)
    return fmean(after) - fmean(before), float(ends.low), float(ends.high), float(tested.pvalue)
