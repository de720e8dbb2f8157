"""Runs beside a baseline: found by path, folder or label, paired by their questions, shown as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clara_bench import metrics
from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.io.escaping import for_csv
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Difference
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.reporting import captions, comparison
from clara_bench.reporting.formats import plain, signed
from clara_bench.reporting.leaderboard import key_of
from clara_bench.reporting.scored import Scorer
from clara_bench.reporting.tables import Cell, Group, Table

HEAD = ("system", "value", "difference", "95 % CI", "higher", "lower", "of")
NOTES = (
    "Difference: the system minus the baseline, over the same questions; fractions in %. CI: paired bootstrap over "
    "questions. Bold: it excludes 0. Higher, lower: questions on which the system scores more or less, of those that "
    "count.",
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run and its baseline."""

    run: Run
    differences: dict[str, Difference]
    values: dict[str, float | None]


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
    if (path / "manifest.json").is_file():
        return [open_run(path)]
    if path.is_dir():
        return find_runs(path)
    if not root.is_dir():
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


def compare(baseline: Run, runs: Sequence[Run], names: Sequence[str], seed: int, scorer: Scorer) -> Comparison:
    """Compare runs with a baseline.

    Raises:
        BenchError: see `comparison.compare`.
    """
    chosen = names or comparison.COLUMNS
    compared = [
        Compared(run, comparison.compare(baseline, run, chosen, seed), _values(run, chosen, seed, scorer))
        for run in runs
    ]
    return Comparison(baseline, _values(baseline, chosen, seed, scorer), tuple(compared))


def _values(run: Run, names: Sequence[str], seed: int, scorer: Scorer) -> dict[str, float | None]:
    return {name: summary.mean for name, summary in scorer(run, names, seed).metrics.items()}


def table(found: Comparison) -> Table:
    """A group for each metric, in it the baseline and each run."""
    baseline, *others = _names([found.baseline, *(one.run for one in found.compared)])
    manifest = found.baseline.manifest
    origin = captions.source(manifest["data"]["provenance"])
    names = list(dict.fromkeys(name for one in found.compared for name in one.differences))
    groups = []
    for metric in map(metrics.get, names):
        first = (f"{baseline} (baseline)", plain(metric, found.values.get(metric.name)), *["–"] * 5)
        rows = [
            (Cell(name), *_cells(metric, one))
            for name, one in zip(others, found.compared, strict=True)
            if metric.name in one.differences
        ]
        unit = {"fraction": ", %", metric.name: ""}.get(metric.unit, f", {metric.unit}")
        groups.append(Group(f"{metric.name}{unit}", (tuple(map(Cell, first)), *rows)))
    title = f"{manifest['task']['name']} · {origin} · {manifest['questions']['count']} questions"
    return Table(title, HEAD, tuple(groups))


def _names(runs: Sequence[Run]) -> list[str]:
    """Labels, with what tells runs apart that share one, and the setting where they are not all in one."""
    settings = [run.manifest["setting"] for run in runs]
    labels = [run.manifest["system"]["label"] for run in runs]
    told = captions.differences(runs)
    if len(set(settings)) > 1:
        told = [", ".join(filter(None, pair)) for pair in zip(settings, told, strict=True)]
    return [f"{label} ({said})" if said else label for label, said in zip(labels, told, strict=True)]


def _cells(metric: Metric, one: Compared) -> Iterator[Cell]:
    difference, value = one.differences[metric.name], one.values.get(metric.name)
    interval = difference.ci95
    certain = interval is not None and not interval[0] <= 0 <= interval[1]
    yield Cell(plain(metric, value))
    yield Cell(signed(metric, difference.mean, value), best=certain)
    yield Cell("–" if interval is None else " to ".join(signed(metric, end, value) for end in interval))
    yield from (Cell(str(count)) for count in (difference.higher, difference.lower, difference.n))


def to_csv(found: Sequence[Comparison]) -> str:
    """One line a run and metric, unrounded."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["task", "system", "baseline", "metric", "value", "baseline_value", "difference", "ci95_low", "ci95_high"]
    writer.writerow([*head, "higher", "lower", "n", "path", "baseline_path"])
    for comparison_ in found:
        for one in comparison_.compared:
            for name, d in one.differences.items():
                labels = [run.manifest["system"]["label"] for run in (one.run, comparison_.baseline)]
                values = [one.values.get(name), comparison_.values.get(name), d.mean, *(d.ci95 or (None, None))]
                paths = [str(one.run.path), str(comparison_.baseline.path)]
                task = comparison_.baseline.manifest["task"]["name"]
                cells = [task, *labels, name, *values, d.higher, d.lower, d.n, *paths]
                writer.writerow([for_csv(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()
