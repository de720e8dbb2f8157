"""Comparisons as tables, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from clara_bench import metrics
from clara_bench.metrics import Metric
from clara_bench.records.trainings import System
from clara_bench.reporting import captions
from clara_bench.reporting.formats import counted, csv_text, head, p_cell, plain, signed
from clara_bench.reporting.pairs import Compared, Comparison
from clara_bench.reporting.tables import Cell, Group, Table

HEAD = ("system", "value", "change", "95 % CI", "p Holm", "detectable", "win/tie/loss", "p BH", "effect")
TRAININGS = ("over questions", "over trainings")
"""Behind the others where a system was trained several times."""
NOTE = (
    "Change: the system minus the baseline over the same questions; fractions in %. P: paired permutation test (exact "
    "McNemar for 0/1 metrics); Holm and BH (Benjamini-Hochberg): corrected over the {family}. Bold: p Holm below "
    "0.05. Detectable: where it is not, the true change that 80 % of samples of this size would show at 0.05. "
    "Win: better for the system. Effect: mean of the changes in standard deviations."
)


def notes(found: Sequence[Comparison]) -> tuple[str, ...]:
    """What is said once, below all tables."""
    tests = [v.family for each in found for one in each.compared for v in one.verdicts.values()]
    family = NOTE.format(family=f"{tests[0]} tests shown here" if tests and tests[0] > 1 else "one test shown here")
    counts = {less.trainings for each in found for one in each.compared for less in one.differences.values()}
    return (family, *([SEVERAL] if any(min(one) > 1 for one in counts) else []), *([ONE] if _uneven(counts) else []))


def _uneven(counts: set[tuple[int, int]]) -> bool:
    return any(min(one) == 1 and max(one) > 1 for one in counts)


SEVERAL = (
    "Where both have several seeds, CI and p add the variance over trainings to that over questions, and speak of the "
    "methods; the last two columns show them apart."
)
ONE = "One side has a single training: CI and p are over questions alone and say nothing of the method."


def tables(found: Sequence[Comparison], flips: bool = False, asked: Sequence[str] = ()) -> list[Table]:
    """A table for each baseline; see `_table`.

    Args:
        found: the comparisons.
        flips: list the questions that became right or wrong.
        asked: names of the metrics that were asked for.
    """
    origins = captions.sources([one.baseline.run.manifest for one in found])
    return [_table(one, _title(one, origin), flips, asked) for one, origin in zip(found, origins, strict=True)]


def _table(found: Comparison, title: str, flips: bool, asked: Sequence[str]) -> Table:
    """A group for each metric, in it the baseline and each run; below, if asked for, the flipped questions.

    The caption names metrics that no run has a difference of, such as recall without known gold passages.
    """
    baseline, *others = _names([found.baseline, *(one.system for one in found.compared)])
    several = any(less.trainings != (1, 1) for one in found.compared for less in one.differences.values())
    columns = HEAD + TRAININGS * several
    known = (name for one in found.compared for name, d in one.differences.items() if d.mean is not None)
    names = list(dict.fromkeys(known))
    wanted = dict.fromkeys([*asked, *(name for one in found.compared for name in one.differences)])
    without = ", ".join(head(name) for name in wanted if name not in names)
    groups = []
    for metric in map(metrics.get, names):
        first = (f"{baseline} (baseline)", plain(metric, found.values.get(metric.name)), *["–"] * (len(columns) - 2))
        rows = [
            (Cell(name), *_cells(metric, one), *(_trainings(metric, one) if several else ()))
            for name, one in zip(others, found.compared, strict=True)
            if metric.name in one.differences
        ]
        unit = ", %" if metric.unit == "fraction" else "" if metric.unit in head(metric.name) else f", {metric.unit}"
        groups.append(Group(f"{head(metric.name)}{unit}", (tuple(map(Cell, first)), *rows)))
    told = [f"Without a value in both runs: {without}."] if without else []
    if flips:
        told += [line for pair in zip(others, found.compared, strict=True) for line in _flips(*pair)]
    return Table(title, columns, tuple(groups), tuple(told))


def _title(found: Comparison, origin: str) -> str:
    manifest = found.baseline.run.manifest
    if found.tasks:
        return f"mean over {len(found.tasks)} tasks: {', '.join(found.tasks)}"
    return f"{manifest['task']['name']} · {origin} · {counted(manifest['questions']['count'], 'question')}"


def _trainings(metric: Metric, one: Compared) -> Iterator[Cell]:
    less, value = one.differences[metric.name], one.values.get(metric.name)
    for interval in (less.ci95_questions, less.ci95_trainings):
        yield Cell(_ends(metric, interval, value))


def _ends(metric: Metric, interval: tuple[float, float] | None, value: float | None) -> str:
    return "–" if interval is None else " to ".join(signed(metric, end, value) for end in interval)


def _flips(name: str, one: Compared) -> Iterator[str]:
    for metric, less in one.differences.items():
        for word, ids in (("rescued", less.rescued), ("broken", less.broken)):
            if ids:
                yield f"{name}, {metric}, {word} ({len(ids)}): {' '.join(ids)}."


def _names(systems: Sequence[System]) -> list[str]:
    """Labels, with what tells systems apart that share one, and the setting where they are not all in one."""
    settings = [one.run.manifest["setting"] for one in systems]
    told = captions.differences([one.run for one in systems])
    if len(set(settings)) > 1:
        told = [", ".join(filter(None, pair)) for pair in zip(settings, told, strict=True)]
    seeds = [f"{len(one.runs)} seeds" if len(one.runs) > 1 else "" for one in systems]
    told = [", ".join(filter(None, pair)) for pair in zip(told, seeds, strict=True)]
    return [f"{one.label} ({said})" if said else one.label for one, said in zip(systems, told, strict=True)]


def _cells(metric: Metric, one: Compared) -> Iterator[Cell]:
    less, value, verdict = one.differences[metric.name], one.values.get(metric.name), one.verdicts.get(metric.name)
    decided = verdict is not None and verdict.verdict in ("higher", "lower")
    corrected = (None, None) if verdict is None else (verdict.p_holm, verdict.p_bh)
    outcomes = [less.higher, less.n - less.higher - less.lower, less.lower]
    yield Cell(plain(metric, value))
    yield Cell(signed(metric, less.mean, value), best=decided)
    yield Cell(_ends(metric, less.ci95, value))
    yield Cell(p_cell(corrected[0]))
    yield Cell("–" if decided else signed(metric, less.detectable, value).replace("+", "±"))
    yield Cell("/".join(map(str, outcomes if metric.higher_is_better else outcomes[::-1])))
    yield Cell(p_cell(corrected[1]))
    yield Cell("–" if less.effect is None else f"{less.effect:+.2f}")


def to_builtins(found: Sequence[Comparison]) -> dict[str, Any]:
    """By run and metric everything that is known of a difference; of a mean over tasks by its label."""
    return {
        _key(each, one): {
            name: {**msgspec.to_builtins(less), **msgspec.to_builtins(one.verdicts[name])}
            for name, less in one.differences.items()
        }
        for each in found
        for one in each.compared
    }


def _key(found: Comparison, one: Compared) -> str:
    label = f"{one.system.run.manifest['setting']}/{one.system.label}"
    return f"{label} over {'+'.join(found.tasks)}" if found.tasks else str(one.system.run.path)


def to_csv(found: Sequence[Comparison]) -> str:
    """One line a system and metric, unrounded."""
    return csv_text(_csv_rows(found))


def _csv_rows(found: Sequence[Comparison]) -> Iterator[list[Any]]:
    first = ["task", "system", "baseline", "metric", "value", "baseline_value", "difference", "ci95_low", "ci95_high"]
    tested = ["p", "p_holm", "p_bh", "family", "verdict", "effect", "detectable", "rescued", "broken"]
    trained = ["baseline_trainings", "trainings", "questions_low", "questions_high", "trainings_low", "trainings_high"]
    yield [*first, "higher", "lower", "n", *tested, "path", "baseline_path", *trained]
    for each in found:
        for one in each.compared:
            systems = (one.system, each.baseline)
            for name, d in one.differences.items():
                values = [one.values.get(name), each.values.get(name), d.mean, *(d.ci95 or (None, None))]
                task = "+".join(each.tasks) or each.baseline.run.manifest["task"]["name"]
                v = one.verdicts[name]
                numbers = [d.p, v.p_holm, v.p_bh, v.family, v.verdict, d.effect, d.detectable]
                flipped = [len(d.rescued), len(d.broken)]
                apart = [end for ends in (d.ci95_questions, d.ci95_trainings) for end in ends or (None, None)]
                labels, paths = [s.label for s in systems], [str(s.run.path) for s in systems]
                counts = [d.higher, d.lower, d.n]
                yield [task, *labels, name, *values, *counts, *numbers, *flipped, *paths, *d.trainings, *apart]
