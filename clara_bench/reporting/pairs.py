"""Runs beside a baseline: found by path, folder or label, paired by their questions, shown as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from clara_bench import metrics
from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Difference
from clara_bench.records.packs import located
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.reporting import captions, comparison
from clara_bench.reporting.comparison import Verdict
from clara_bench.reporting.formats import csv_text, p_cell, plain, signed
from clara_bench.reporting.leaderboard import key_of
from clara_bench.reporting.scored import Scorer
from clara_bench.reporting.tables import Cell, Group, Table

HEAD = ("system", "value", "change", "95 % CI", "p Holm", "detectable", "win/tie/loss", "p BH", "effect")
NOTE = (
    "Change: the system minus the baseline over the same questions; fractions in %. P: paired permutation test (exact "
    "McNemar for 0/1 metrics); Holm and BH (Benjamini-Hochberg): corrected over the {family}. Bold: p Holm below "
    "0.05. Detectable: where it is not, the true change that 80 % of samples of this size would show at 0.05. "
    "Win: better for the system. Effect: mean of the changes in standard deviations."
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run and its baseline."""

    run: Run
    differences: dict[str, Difference]
    values: dict[str, float | None]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By metric, once the whole family is known; see `judged`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs and their common baseline."""

    baseline: Run
    values: dict[str, float | None]
    """The baseline's own."""
    compared: tuple[Compared, ...]


def find(what: str, root: Path) -> list[Run]:
    """The runs that a path, a folder or, below `root`, a label names.

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
        raise DataError(f"'{what}' is no folder, and {root} to look labels up in is not there. Give --root FOLDER")
    runs = find_runs(root)
    found = [run for run in runs if run.manifest["system"]["label"] == what]
    if not found:
        raise UnknownName("run, folder or label", what, {run.manifest["system"]["label"] for run in runs}, str(root))
    return found


def pair(baselines: Sequence[Run], runs: Sequence[Run]) -> list[tuple[Run, list[Run]]]:
    """Each run with the baseline that answers the same questions, at equal candidates where several do.

    A run that answers questions of no baseline is left out where others do not; a baseline is not held beside itself
    where there are other runs.

    Raises:
        ConfigError: no run answers a baseline's questions, or several baselines do and it is not said which is meant.
    """
    paths = {run.path.resolve() for run in baselines}
    others = [run for run in runs if run.path.resolve() not in paths] or list(runs)
    pairs: dict[Path, tuple[Run, list[Run]]] = {}
    for run in others:
        fitting = [one for one in baselines if key_of(one) == key_of(run)]
        if fitting:
            baseline = _the_one(fitting, run)
            pairs.setdefault(baseline.path, (baseline, []))[1].append(run)
    if not pairs:
        comparison.require_same_questions(baselines[0], others[0])
    return list(pairs.values())


def _the_one(baselines: Sequence[Run], run: Run) -> Run:
    same = [one for one in baselines if one.manifest["candidates"]["hash"] == run.manifest["candidates"]["hash"]]
    left = baselines if len(baselines) == 1 else same
    if len(left) != 1:
        listed = ", ".join(str(one.path) for one in baselines[:5])
        raise ConfigError(f"{run.path}: {len(baselines)} baselines answer its questions: {listed}. Name one of them")
    return left[0]


def compare(baseline: Run, runs: Sequence[Run], names: Sequence[str], scorer: Scorer) -> Comparison:
    """Compare runs with a baseline.

    Raises:
        BenchError: see `comparison.compare`.
    """
    chosen = names or comparison.COLUMNS
    compared = [Compared(run, comparison.compare(baseline, run, chosen), _values(run, chosen, scorer)) for run in runs]
    return Comparison(baseline, _values(baseline, chosen, scorer), tuple(compared))


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


def _values(run: Run, names: Sequence[str], scorer: Scorer) -> dict[str, float | None]:
    return {name: summary.mean for name, summary in scorer(run, names).metrics.items()}


def notes(found: Sequence[Comparison]) -> tuple[str, ...]:
    """What is said once, below all tables."""
    tests = [v.family for each in found for one in each.compared for v in one.verdicts.values()]
    return (NOTE.format(family=f"{tests[0]} tests shown here" if tests and tests[0] > 1 else "one test shown here"),)


def table(found: Comparison, flips: bool = False) -> Table:
    """A group for each metric, in it the baseline and each run; below, if asked for, the flipped questions."""
    baseline, *others = _names([found.baseline, *(one.run for one in found.compared)])
    manifest = found.baseline.manifest
    origin = captions.source(manifest["data"]["provenance"])
    names = list(dict.fromkeys(name for one in found.compared for name in one.differences))
    groups = []
    for metric in map(metrics.get, names):
        first = (f"{baseline} (baseline)", plain(metric, found.values.get(metric.name)), *["–"] * (len(HEAD) - 2))
        rows = [
            (Cell(name), *_cells(metric, one))
            for name, one in zip(others, found.compared, strict=True)
            if metric.name in one.differences
        ]
        unit = {"fraction": ", %", metric.name: ""}.get(metric.unit, f", {metric.unit}")
        groups.append(Group(f"{metric.name}{unit}", (tuple(map(Cell, first)), *rows)))
    title = f"{manifest['task']['name']} · {origin} · {manifest['questions']['count']} questions"
    told = zip(others, found.compared, strict=True)
    return Table(title, HEAD, tuple(groups), tuple(line for pair in told for line in _flips(*pair)) if flips else ())


def _flips(name: str, one: Compared) -> Iterator[str]:
    for metric, less in one.differences.items():
        for word, ids in (("rescued", less.rescued), ("broken", less.broken)):
            if ids:
                yield f"{name}, {metric}, {word} ({len(ids)}): {' '.join(ids)}."


def _names(runs: Sequence[Run]) -> list[str]:
    """Labels, with what tells runs apart that share one, and the setting where they are not all in one."""
    settings = [run.manifest["setting"] for run in runs]
    labels = [run.manifest["system"]["label"] for run in runs]
    told = captions.differences(runs)
    if len(set(settings)) > 1:
        told = [", ".join(filter(None, pair)) for pair in zip(settings, told, strict=True)]
    return [f"{label} ({said})" if said else label for label, said in zip(labels, told, strict=True)]


def _cells(metric: Metric, one: Compared) -> Iterator[Cell]:
    less, value, verdict = one.differences[metric.name], one.values.get(metric.name), one.verdicts.get(metric.name)
    decided = verdict is not None and verdict.verdict in ("higher", "lower")
    corrected = (None, None) if verdict is None else (verdict.p_holm, verdict.p_bh)
    outcomes = [less.higher, less.n - less.higher - less.lower, less.lower]
    yield Cell(plain(metric, value))
    yield Cell(signed(metric, less.mean, value), best=decided)
    yield Cell("–" if less.ci95 is None else " to ".join(signed(metric, end, value) for end in less.ci95))
    yield Cell(p_cell(corrected[0]))
    yield Cell("–" if decided else signed(metric, less.detectable, value).replace("+", "±"))
    yield Cell("/".join(map(str, outcomes if metric.higher_is_better else outcomes[::-1])))
    yield Cell(p_cell(corrected[1]))
    yield Cell("–" if less.effect is None else f"{less.effect:+.2f}")


def to_builtins(found: Sequence[Comparison]) -> dict[str, Any]:
    """By run and metric everything that is known of a difference."""
    return {
        str(one.run.path): {
            name: {**msgspec.to_builtins(less), **msgspec.to_builtins(one.verdicts[name])}
            for name, less in one.differences.items()
        }
        for each in found
        for one in each.compared
    }


def to_csv(found: Sequence[Comparison]) -> str:
    """One line a run and metric, unrounded."""
    return csv_text(_csv_rows(found))


def _csv_rows(found: Sequence[Comparison]) -> Iterator[list[Any]]:
    head = ["task", "system", "baseline", "metric", "value", "baseline_value", "difference", "ci95_low", "ci95_high"]
    tested = ["p", "p_holm", "p_bh", "family", "verdict", "effect", "detectable", "rescued", "broken"]
    yield [*head, "higher", "lower", "n", *tested, "path", "baseline_path"]
    for comparison_ in found:
        for one in comparison_.compared:
            for name, d in one.differences.items():
                labels = [run.manifest["system"]["label"] for run in (one.run, comparison_.baseline)]
                values = [one.values.get(name), comparison_.values.get(name), d.mean, *(d.ci95 or (None, None))]
                paths = [str(one.run.path), str(comparison_.baseline.path)]
                task = comparison_.baseline.manifest["task"]["name"]
                v = one.verdicts[name]
                numbers = [d.p, v.p_holm, v.p_bh, v.family, v.verdict, d.effect, d.detectable]
                flipped = [len(d.rescued), len(d.broken)]
                yield [task, *labels, name, *values, d.higher, d.lower, d.n, *numbers, *flipped, *paths]
