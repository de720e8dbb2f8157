"""A leaderboard with tasks as columns: one row per system, with its main metric on every task and mean costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from clara_bench import metrics
from clara_bench.errors import ConfigError
from clara_bench.metrics import Metric
from clara_bench.metrics.statistics import Summary
from clara_bench.reporting.formats import INDEX, cell, counted, head, mean_cell, plain
from clara_bench.reporting.leaderboard import TRAITS, Board, Guess, Row, Section
from clara_bench.reporting.tables import Cell, Group, Table
from clara_bench.reporting.views import BRIEF, DEFAULT, View, marks, value_cell
from clara_bench.statistics.intervals import of_mean
from clara_bench.types import SETTINGS


def by_task(found: Sequence[Board], view: View = DEFAULT) -> list[Table]:
    """Tasks as columns: the first column asked for (or the main metric) on each task, then means over the tasks.

    Boards stand together when their questions come from the same kind of source; a mean is shown where the system has
    a value on every task of the table.
    """
    return [_by_task(group, view) for group in _together(found)]


def _together(found: Sequence[Board]) -> list[list[Board]]:
    """Boards of one world, or one kind of other source, and number of questions, each task at most once."""
    groups: dict[tuple[str, int, int], list[Board]] = {}
    for board in found:
        source, number = board.origin if board.source == "worlds" else board.source, 0
        while any(one.task == board.task for one in groups.get((source, board.questions, number), ())):
            number += 1
        groups.setdefault((source, board.questions, number), []).append(board)
    return list(groups.values())


Rows = Mapping[str, Row]
"""The runs of one system in one setting, by task."""


def _by_task(found: Sequence[Board], view: View) -> Table:
    first, others = _of_tasks(found, view)
    groups: dict[str, dict[str, dict[str, Row]]] = {}
    guesses: dict[str, dict[str, dict[str, Guess]]] = {}
    for board in found:
        for section in board.sections:
            for guess in section.guesses:
                guesses.setdefault(_setting(found, section), {}).setdefault(guess.label, {})[board.task] = guess
            for row in section.rows:
                groups.setdefault(_setting(found, section), {}).setdefault(row.name, {})[board.task] = row
    tasks = [board.task for board in found]
    systems = [rows for group in groups.values() for rows in group.values()]
    kept = [metric for metric in others if any(_mean(metric, rows, tasks) is not None for rows in systems)]
    order = sorted(groups, key=lambda title: SETTINGS.index(re.split("[,:]", title)[0]))
    heads = [f"{board.task} {first[board.task].name}" for board in found]
    return Table(
        title=f"{_kind(found)} · {counted(found[0].questions, 'question')} per task",
        head=("system", *heads, *(["mean"] * _one_metric(first)), *(head(m.name) for m in kept)),
        groups=tuple(
            replace(group, rows=(*group.rows, *_guessed(guesses.get(title, {}), first, len(kept))))
            for title in order
            for group in [_task_group(title, groups[title], first, kept, view)]
        ),
        caption=("The last columns are means over the tasks.",) if kept and len(found) > 1 else (),
    )


def _of_tasks(found: Sequence[Board], view: View) -> tuple[dict[str, Metric], list[Metric]]:
    """The metric shown for each task, and those shown as means."""
    declared = [name for name in view.columns if name in (*TRAITS, INDEX)]
    if declared:
        raise ConfigError(f"column '{declared[0]}' has no mean over tasks. With tasks as columns, use metrics only")
    asked = [metrics.get(name) for name in view.columns]
    if asked:
        return {board.task: asked[0] for board in found}, asked[1:]
    return {board.task: metrics.get(board.main_metric) for board in found}, [metrics.get(name) for name in BRIEF]


def _setting(found: Sequence[Board], section: Section) -> str:
    """The words of a section where all tasks have the same; else those that do not depend on the data."""
    same = all(any(one.passages == section.passages for one in board.sections) for board in found)
    if same:
        return section.passages
    if section.control:
        return f"{section.setting}, control {section.control}"
    return f"{section.setting}: {IN_GENERAL[section.setting]}"


IN_GENERAL = {
    "closed": "no passages",
    "gold": "exactly the supporting passages",
    "distractor": "the question's own passages",
    "retrieved": "the first passages that a shared retriever ranks",
    "injected": "the first passages that a shared retriever ranks, the supporting ones put in",
    "corpus": "all passages",
}


def _kind(found: Sequence[Board]) -> str:
    origins = {board.origin for board in found}
    return (
        origins.pop()
        if len(origins) == 1
        else {"files": "files of the data sets", "hub": "hub"}.get(found[0].source, "synthetic worlds")
    )


def _task_group(
    title: str, systems: Mapping[str, Rows], first: Mapping[str, Metric], others: Sequence[Metric], view: View
) -> Group:
    tasks = list(first)
    by = [metrics.get(view.sort)] if view.sort not in ("", "system", INDEX, *TRAITS) else []

    def place(name: str) -> tuple[bool, float, str]:
        values = [_mean(one, systems[name], tasks) for one in by] or [_first_mean(first, systems[name])]
        sign = 1 if by and not by[0].higher_is_better else -1
        return values[0] is None, sign * (values[0] or 0.0), name

    order = sorted(systems) if view.sort == "system" else sorted(systems, key=place)
    marked = {task: marks([rows[task] for rows in systems.values() if task in rows], first[task]) for task in tasks}
    lines = []
    for name in order:
        rows = systems[name]
        shown = [marked[t](rows[t], value_cell(first[t], True, rows[t])) if t in rows else Cell("–") for t in tasks]
        means = [_mean(metric, rows, tasks) for metric in others]
        traits = next(iter(rows.values())).traits
        told = [mean_cell(metric, mean, traits) for metric, mean in zip(others, means, strict=True)]
        overall = [Cell(cell(next(iter(first.values())), _overall(first, rows)))] if _one_metric(first) else []
        lines.append((Cell(name), *shown, *overall, *map(Cell, told)))
    return Group(title, tuple(lines))


def _guessed(
    lines: Mapping[str, Mapping[str, Guess]], first: Mapping[str, Metric], others: int
) -> Iterator[tuple[Cell, ...]]:
    """Chance lines, with their mean where the tasks have one metric."""
    for label, guesses in lines.items():
        values = [guesses[task].metrics.get(m.name) if task in guesses else None for task, m in first.items()]
        known = [value for value in values if value is not None]
        mean = [fmean(known) if len(known) == len(first) else None] if _one_metric(first) else []
        metric = next(iter(first.values()))
        yield (Cell(label), *(Cell(plain(metric, value)) for value in [*values, *mean]), *[Cell("–")] * others)


def _one_metric(first: Mapping[str, Metric]) -> bool:
    """Whether a mean over the tasks is one of the same thing."""
    return len(first) > 1 and len({metric.name for metric in first.values()}) == 1


def _overall(first: Mapping[str, Metric], rows: Rows) -> Summary | None:
    """The mean over all tasks, each counting the same, with an interval; None where a task has no value."""
    found = [rows[task].metrics.get(metric.name) if task in rows else None for task, metric in first.items()]
    means = [one.mean for one in found if one is not None and one.mean is not None]
    if len(means) < len(first):
        return None
    ends = [one.ci95 for one in found if one is not None and one.ci95 is not None]
    interval = of_mean(means, ends) if len(ends) == len(means) else None
    return Summary(fmean(means), interval, len(means), 0, 0)


def _first_mean(first: Mapping[str, Metric], rows: Rows) -> float | None:
    known = [mean for task, row in rows.items() if (mean := _of(row, first[task])) is not None]
    return fmean(known) if known else None


def _mean(metric: Metric, rows: Rows, tasks: Sequence[str]) -> float | None:
    """Over all tasks; None where one has no value."""
    means = [_of(rows[task], metric) if task in rows else None for task in tasks]
    known = [mean for mean in means if mean is not None]
    return fmean(known) if known and len(known) == len(tasks) else None


def _of(row: Row, metric: Metric) -> float | None:
    summary = row.metrics.get(metric.name)
    return None if summary is None else summary.mean
