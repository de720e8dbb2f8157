"""Runs compared with a baseline: found by path, folder or label, and paired by their questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.metrics.differences import Difference
from clara_bench.metrics.differences import over_tasks as _over_tasks
from clara_bench.metrics.statistics import averaged
from clara_bench.records.packs import located
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.records.trainings import By, System, base, grouped
from clara_bench.reporting import comparison
from clara_bench.reporting.comparison import Verdict
from clara_bench.reporting.leaderboard import key_of
from clara_bench.reporting.scored import Scorer


@dataclass(frozen=True, slots=True)
class Compared:
    """A system and its baseline."""

    system: System
    differences: dict[str, Difference]
    values: dict[str, float | None]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By metric, once the complete family is known; see `judged`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Systems and their common baseline."""

    baseline: System
    values: dict[str, float | None]
    """The baseline's own."""
    compared: tuple[Compared, ...]
    tasks: tuple[str, ...] = ()
    """The tasks that the means are over; () for one task."""


def find(what: str, root: Path, by: By = "seed") -> list[Run]:
    """The runs that a path, a folder or, below `root`, a label names, with its other trainings where `by` groups them.

    Raises:
        UnknownName: nothing is called so.
        DataError: a folder holds no runs, or one cannot be read.
    """
    path = Path(what)
    place = located(path)
    if (place / "manifest.json").is_file():
        return [open_run(path)]
    if place.is_dir():
        return find_runs(path)
    if not located(root).is_dir():
        raise DataError(
            f"'{what}' is not a run or a folder, and {root}, to look up labels, does not exist. Give --root FOLDER"
        )
    runs = find_runs(root)
    found = [run for run in runs if what in _labels(run, by)]
    if not found:
        raise UnknownName("run, folder or label", what, {run.manifest["system"]["label"] for run in runs}, str(root))
    return found


def _labels(run: Run, by: By) -> set[str]:
    label = run.manifest["system"]["label"]
    return {label} if by == "run" else {label, base(label)}


Pairs = list[tuple[System, list[System]]]


def pair(baselines: Sequence[Run], runs: Sequence[Run], by: By = "seed") -> Pairs:
    """Each system with the baseline that answers the same questions, at equal candidates where several do.

    A run that answers questions of no baseline is left out where others do not; a baseline is not compared with itself
    where there are other runs.

    Raises:
        ConfigError: no run answers a baseline's questions, or several baselines do and it is not said which is meant.
    """
    paths = {run.path.resolve() for run in baselines}
    others = [run for run in runs if run.path.resolve() not in paths] or list(runs)
    candidates = grouped(baselines, by)
    pairs: dict[Path, tuple[System, list[System]]] = {}
    for system in grouped(others, by):
        fitting = [one for one in candidates if key_of(one.run) == key_of(system.run)]
        if fitting:
            baseline = _the_one(fitting, system.run)
            pairs.setdefault(baseline.run.path, (baseline, []))[1].append(system)
    if not pairs:
        comparison.require_same_questions(baselines[0], others[0])
    return list(pairs.values())


def _the_one(baselines: Sequence[System], run: Run) -> System:
    wanted = run.manifest["candidates"]["hash"]
    same = [one for one in baselines if one.run.manifest["candidates"]["hash"] == wanted]
    left = baselines if len(baselines) == 1 else same
    if len(left) != 1:
        listed = ", ".join(str(one.run.path) for one in baselines[:5])
        raise ConfigError(f"{run.path}: {len(baselines)} baselines answer its questions: {listed}. Name one of them")
    return left[0]


@dataclass(frozen=True, slots=True)
class Way:
    """How systems are compared."""

    scorer: Scorer
    names: Sequence[str] = ()
    """Metrics; () for `comparison.COLUMNS`."""
    by_passage: bool = False
    """Whether questions that need the same passage count as one observation."""


def compare(baseline: System, systems: Sequence[System], way: Way) -> Comparison:
    """Compare systems with a baseline.

    Raises:
        BenchError: see `comparison.compare_systems`.
    """
    compared = [
        Compared(
            one,
            comparison.compare_systems(baseline, one, way.names, way.scorer, way.by_passage),
            _values(one, way),
        )
        for one in systems
    ]
    return Comparison(baseline, _values(baseline, way), tuple(compared))


def over_tasks(found: Sequence[Comparison], way: Way) -> list[Comparison]:
    """The means over the tasks, each counting the same: of systems that were compared on all of them.

    Raises:
        ConfigError: there is one task, or no system was compared on all.
    """
    tasks = tuple(dict.fromkeys(_task(one.baseline) for one in found))
    groups: dict[tuple[str, ...], list[tuple[System, System]]] = {}
    for each in found:
        for one in each.compared:
            key = (*_named(each.baseline), *_named(one.system))
            groups.setdefault(key, []).append((each.baseline, one.system))
    whole = [pairs for pairs in groups.values() if [_task(system) for _, system in pairs] == list(tasks)]
    if len(tasks) < 2 or not whole:
        raise ConfigError(
            f"no system was compared on several tasks (found: {', '.join(tasks)}). Name folders with the runs of all "
            "tasks, or leave out --over-tasks"
        )
    means: dict[tuple[str, ...], Comparison] = {}
    for pairs in whole:
        mean = _mean(pairs, tasks, way)
        before = means.get(_named(mean.baseline))
        means[_named(mean.baseline)] = replace(before, compared=before.compared + mean.compared) if before else mean
    return list(means.values())


def _task(system: System) -> str:
    return system.run.manifest["task"]["name"]


def _named(system: System) -> tuple[str, str]:
    return system.run.manifest["setting"], system.label


def _mean(pairs: Sequence[tuple[System, System]], tasks: tuple[str, ...], way: Way) -> Comparison:
    names = way.names or comparison.COLUMNS
    before, after = (
        [comparison.measured(pair[side], names, way.scorer, way.by_passage) for pair in pairs] for side in (0, 1)
    )
    common = [name for name in before[0] if all(name in one for one in (*before, *after))]
    differences = {
        name: _over_tasks([(one[name], other[name]) for one, other in zip(before, after, strict=True)])
        for name in common
    }
    values = [
        {name: fmean(averaged(one[name]).mean() or 0.0 for one in side) for name in common} for side in (before, after)
    ]
    baseline, system = pairs[0]
    return Comparison(baseline, dict(values[0]), (Compared(system, differences, dict(values[1])),), tasks)


def judged(found: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with a verdict on each difference; all of them are one family."""
    flat = [(one, name) for each in found for one in each.compared for name in one.differences]
    verdicts = comparison.verdicts([one.differences[name] for one, name in flat])
    by_run: dict[int, dict[str, Verdict]] = {}
    for (one, name), verdict in zip(flat, verdicts, strict=True):
        by_run.setdefault(id(one), {})[name] = verdict
    return [
        replace(each, compared=tuple(replace(one, verdicts=by_run.get(id(one), {})) for one in each.compared))
        for each in found
    ]


def _values(system: System, way: Way) -> dict[str, float | None]:
    measured = comparison.measured(system, way.names or comparison.COLUMNS, way.scorer)
    return {name: averaged(columns).mean() for name, columns in measured.items()}
