"""How far each estimator of a sweep ends from the first one, over trainings, corrected over the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
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

    rate: str
    """One, or those that are taken together."""
    stage: str
    estimator: str
    baseline: str
    score: str
    """recall@1, recall@5 or em."""
    mean: float
    low: float
    """The 95 % CI over trainings: Welch's, or Student's of pairs."""
    high: float
    p: float

    def row(self, p_holm: float) -> list[str]:
        """For `HEAD`; the family is the table."""
        verdict = "undecided" if p_holm >= LEVEL else "higher" if self.mean > 0 else "lower"
        ends = f"{self.low:+.3f} to {self.high:+.3f}"
        name = "EM" if self.score == "em" else self.score
        return [
            self.rate, self.stage, self.estimator, self.baseline, name, f"{self.mean:+.3f}", ends, f"{p_holm:.2g}",
            verdict,
        ]  # fmt: skip


def table(config: Config, out: Path) -> list[list[str]]:
    """A row for each estimator and score, after the last step that all trainings reached.

    The questions are the same for all trainings, so the test is over trainings alone: what it finds holds of other
    trainings on these questions. There is no row with fewer than two trainings a side, or where none of them differ.

    Raises:
        BenchError: see `cells`; a damaged log.
    """
    return _corrected(list(differences(config, out)))


def paired_table(config: Config, out: Path) -> list[list[str]]:
    """The same over all rates, paired: trainings of one rate and seed have one start and the same rows in one order.

    Raises:
        BenchError: see `cells`; a damaged log.
    """
    return _corrected(list(paired(config, out)))


def _corrected(found: Sequence[Difference]) -> list[list[str]]:
    return [one.row(p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]


def differences(config: Config, out: Path) -> Iterator[Difference]:
    """Each estimator minus the first of the sweep."""
    for (rate, stage), ended in _ended(config, out).items():
        baseline = next(iter(ended))
        for estimator, score in product(list(ended)[1:], SCORES):
            sides = [[one[score] for one in ended[name].values()] for name in (baseline, estimator)]
            if all(len(side) > 1 for side in sides) and any(len(set(side)) > 1 for side in sides):
                yield Difference(str(rate), stage, estimator, baseline, score, *_welch(*sides))


def paired(config: Config, out: Path) -> Iterator[Difference]:
    """Each estimator minus the first of the sweep, over the rates and seeds that both have; at least two rates."""
    groups = _ended(config, out)
    for stage in dict.fromkeys(stage for _, stage in groups):
        of_stage = {rate: ended for (rate, here), ended in groups.items() if here == stage}
        baseline, *others = dict.fromkeys(name for ended in of_stage.values() for name in ended)
        for estimator, score in product(others, SCORES):
            pairs = {
                (rate, seed): scores[score] - ended[baseline][seed][score]
                for rate, ended in of_stage.items()
                for seed, scores in ended[estimator].items()
                if seed in ended[baseline]
            }
            if len({rate for rate, _ in pairs}) > 1 and len(set(pairs.values())) > 1:
                rates = " and ".join(str(rate) for rate in dict.fromkeys(rate for rate, _ in pairs))
                yield Difference(rates, stage, estimator, baseline, score, *_student(list(pairs.values())))


Ended = dict[str, dict[int, dict[str, float]]]
"""By estimator and seed, the scores of a training."""


def _ended(config: Config, out: Path) -> dict[tuple[int, str], Ended]:
    """By rate and stage, the scores after the last step that all begun trainings have."""
    found: dict[tuple[int, str], list[tuple[Cell, dict[int, dict[str, float]]]]] = {}
    for cell in cells(config):
        found.setdefault((cell.rate, cell.stage), []).append((cell, evaluations(cell, out)))
    ended: dict[tuple[int, str], Ended] = {}
    for group, trainings in found.items():
        steps = [set(by_step) for _, by_step in trainings if by_step]
        last = max(set.intersection(*steps), default=None) if steps else None
        by_estimator: Ended = ended.setdefault(group, {})
        for cell, by_step in trainings:
            reached = {cell.seed: by_step[last]} if last in by_step else {}
            by_estimator.setdefault(cell.estimator, {}).update(reached)
    return ended


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float, float]:
    """The difference of two means, both ends of its interval, and p."""
    from scipy.stats import ttest_ind

    tested = ttest_ind(after, before, equal_var=False)
    ends = tested.confidence_interval(0.95)
    return fmean(after) - fmean(before), float(ends.low), float(ends.high), float(tested.pvalue)


def _student(differences: Sequence[float]) -> tuple[float, float, float, float]:
    """The mean of paired differences, both ends of its interval, and p."""
    from scipy.stats import ttest_1samp

    tested = ttest_1samp(differences, 0)
    ends = tested.confidence_interval(0.95)
    return fmean(differences), float(ends.low), float(ends.high), float(tested.pvalue)
