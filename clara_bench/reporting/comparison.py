"""Paired differences between two runs over the same questions, with confidence intervals.

Intervals and tests are computed from each question's difference. Questions that are hard for both then do not widen the
interval, unlike when two intervals of a leaderboard are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from clara_bench import metrics
from clara_bench.errors import ConfigError
from clara_bench.metrics.statistics import Difference, differences
from clara_bench.records.results import Run
from clara_bench.reporting.scoring import applicable, contrasts

COLUMNS = ("em", "f1", "recall@1", "recall@5", "all_support@5", "context_positions")
"""Compared when the user names none; those that one of the runs cannot have are left out."""


def compare(baseline: Run, run: Run, names: Sequence[str] = ()) -> dict[str, Difference]:
    """Differences between a run and its baseline, by metric; metrics that only one of them can have are left out.

    Candidates may differ: which passages a system saw is then part of what is compared.

    Args:
        baseline: what it is compared with.
        run: what is compared.
        names: metrics; () for `COLUMNS`.

    Raises:
        ConfigError: the runs answer other questions.
        DataError: a file does not hold what it should.
        UnknownName: no such metric.
    """
    require_same_questions(baseline, run)
    scorer, golds = run.manifest["task"]["answer_scorer"], [example.gold for example in run.examples]
    chosen = [metrics.get(name, scorer) for name in names or COLUMNS]
    for one in (baseline, run):
        chosen = applicable(chosen, one.manifest["setting"], one.records())
    ids = [example.question.id for example in run.examples]
    theirs, ours = ({record.id: record for record in one.records()} for one in (baseline, run))
    before, after = [theirs.get(id) for id in ids], [ours.get(id) for id in ids]
    return differences(chosen, golds, before, after, contrasts(run.examples), ids)


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
            "Compare runs from one table of the leaderboard"
        )


def _asked(run: Run) -> str:
    asked = run.manifest["questions"]
    return f"{run.manifest['task']['name']} {run.manifest['task']['version']}, {asked['count']}, {asked['hash'][:8]}"
