"""Paired differences between two runs over the same questions, with confidence intervals.

Intervals and tests are computed from each question's difference. Questions that are hard for both then do not widen the
interval, unlike when two intervals of a leaderboard are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clara_bench.errors import ConfigError
from clara_bench.metrics.differences import Difference, of_methods
from clara_bench.metrics.statistics import Column
from clara_bench.records.results import Run
from clara_bench.records.trainings import System
from clara_bench.reporting.scored import Scorer
from clara_bench.statistics.significance import LEVEL, benjamini_hochberg, holm

COLUMNS = ("em", "f1", "recall@1", "recall@5", "all_support@5", "context_positions")
"""Compared when the user names none; those that one of the runs cannot have are left out."""


def compare(baseline: Run, run: Run, names: Sequence[str] = ()) -> dict[str, Difference]:
    """Differences between a run and its baseline, by metric; see `compare_systems`."""
    return compare_systems(System((baseline,)), System((run,)), names, Scorer())


def compare_systems(
    baseline: System, system: System, names: Sequence[str], scorer: Scorer, by_passage: bool = False
) -> dict[str, Difference]:
    """Differences between a system and its baseline, by metric; metrics that only one of them can have are left out.

    Candidates may differ: which passages a system saw is then part of what is compared.

    Args:
        baseline: what it is compared with.
        system: what is compared.
        names: metrics; () for `COLUMNS`.
        scorer: what scores a run.
        by_passage: whether questions that need the same passage count as one observation.

    Raises:
        ConfigError: the runs answer other questions.
        DataError: a file does not hold what it should.
        UnknownName: no such metric.
    """
    require_same_questions(baseline.run, system.run)
    before, after = (measured(one, names or COLUMNS, scorer, by_passage) for one in (baseline, system))
    ids = scorer(system.run, names or COLUMNS).ids
    return {name: of_methods(before[name], after[name], ids) for name in before if name in after}


def measured(system: System, names: Sequence[str], scorer: Scorer, by_passage: bool = False) -> dict[str, list[Column]]:
    """By metric every question's value in each of a system's runs; metrics that one of them lacks are left out."""
    answer_scorer = system.run.manifest["task"]["answer_scorer"]
    scored = [scorer(run, names) for run in system.runs]
    known = [name for name in scored[0].values if all(name in one.values for one in scored)]
    return {name: [one.column(name, answer_scorer, by_passage) for one in scored] for name in known}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is left of a difference among all that are shown with it."""

    p_holm: float | None
    """With it, one false claim among the family has a chance of 5 %."""
    p_bh: float | None
    """Benjamini-Hochberg: with it, 5 % of the claims are false on average."""
    family: int
    """How many tests were made."""
    verdict: Literal["higher", "lower", "undecided"]
    """Than the baseline, where p_holm is below 0.05."""


def verdicts(found: Sequence[Difference]) -> list[Verdict]:
    """A verdict on each difference of one family; those that cannot be tested are undecided, and no part of it."""
    tests = [one.p for one in found if one.p is not None]
    by_holm, by_bh = iter(holm(tests)), iter(benjamini_hochberg(tests))
    return [
        Verdict(None, None, len(tests), "undecided")
        if one.p is None
        else _verdict(one, next(by_holm), next(by_bh), len(tests))
        for one in found
    ]


def _verdict(less: Difference, p_holm: float, p_bh: float, family: int) -> Verdict:
    if p_holm >= LEVEL or not less.mean:
        return Verdict(p_holm, p_bh, family, "undecided")
    return Verdict(p_holm, p_bh, family, "higher" if less.mean > 0 else "lower")


def require_same_questions(baseline: Run, run: Run) -> None:
    """Refuse runs that cannot be compared.

    Raises:
        ConfigError: they answer other questions.
    """
    tasks = [(one.manifest["task"]["name"], one.manifest["task"]["version"]) for one in (baseline, run)]
    hashes = [one.manifest["questions"]["hash"] for one in (baseline, run)]
    if tasks[0] != tasks[1] or hashes[0] != hashes[1]:
        raise ConfigError(
            f"{run.path} has other questions ({_asked(run)}) than {baseline.path} ({_asked(baseline)}). "
            "Compare runs from one table of the leaderboard: same task and data, same --limit and --seed"
        )


def _asked(run: Run) -> str:
    asked = run.manifest["questions"]
    task = run.manifest["task"]
    return f"{task['name']} version {task['version']}, {asked['count']} asked, set {asked['hash'][:8]}"
