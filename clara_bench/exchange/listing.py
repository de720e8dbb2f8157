"""Published numbers as tables: an overview, the rows that were chosen, and all about a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clara_bench.exchange.published import Entry, Registry, named, to_builtins
from clara_bench.reporting.formats import csv_text
from clara_bench.reporting.tables import Cell, Group, Table

SETTINGS = ("setting", "k", "reader", "compressor", "rate")
"""Shown of each row."""


def overview(found: Registry) -> Table:
    """Every table, a group for each source."""
    groups = []
    for source in found.source:
        rows = []
        for table in (one for one in found.table if one.source == source.id):
            tasks, metrics = zip(*(column.split(" ", 1) for column in table.columns), strict=True)
            words = (table.table, str(len(table.rows)), _once(tasks), _once(metrics), table.rows[0].id)
            rows.append(tuple(map(Cell, words)))
        told = ", ".join(filter(None, (source.title, named(source), source.version)))
        groups.append(Group(told, tuple(rows)))
    return Table("Published tables", ("table", "rows", "tasks", "metrics", "first row"), tuple(groups))


def _once(words: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(words))


def rows(found: Registry, kept: Sequence[Entry]) -> list[Table]:
    """A table for each that has any of the values kept, a line for each row."""
    ids = {row.id: table for table in found.table for row in table.rows}
    by_table: dict[str, list[Entry]] = {}
    for entry in kept:
        by_table.setdefault(ids[entry.id].id, []).append(entry)
    notes = {table.id: table.note for table in found.table}
    return [_table(entries, notes[id]) for id, entries in by_table.items()]


def _table(entries: Sequence[Entry], note: str) -> Table:
    columns = list(dict.fromkeys((entry.task, entry.metric) for entry in entries))
    by_row: dict[str, list[Entry]] = {}
    for entry in entries:
        by_row.setdefault(entry.id, []).append(entry)
    lines = tuple(tuple(_cells(values, columns)) for values in by_row.values())
    flags = _once_said(flag for entry in entries for flag in entry.flags)
    marked = "Doubtful values are marked ?: see the row by its id." if any(e.doubts for e in entries) else ""
    first = entries[0]
    return Table(
        title=f"{first.source}, {first.table}",
        head=("id", *(f"{task} {metric}" for task, metric in columns), *SETTINGS),
        groups=(Group(f"in {first.unit}", lines),),
        caption=tuple(filter(None, (note, f"Flags: {flags}." if flags else "", marked))),
    )


def _once_said(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _cells(values: Sequence[Entry], columns: Sequence[tuple[str, str]]) -> Iterator[Cell]:
    by_column = {(entry.task, entry.metric): entry for entry in values}
    yield Cell(values[0].id)
    for column in columns:
        entry = by_column.get(column)
        yield Cell("–" if entry is None else f"{entry.written:g}{' ?' * bool(entry.doubts)}")
    yield from (Cell(_told(getattr(values[0], name)) or "–") for name in SETTINGS)


def in_full(kept: Sequence[Entry]) -> list[Table]:
    """All about each row: its values, and every setting that its source states."""
    ids = dict.fromkeys(entry.id for entry in kept)
    return [_full([entry for entry in kept if entry.id == id]) for id in ids]


def _full(values: Sequence[Entry]) -> Table:
    first = values[0]
    measured = tuple((Cell(f"{one.task} {one.metric}"), Cell(f"{one.written:g}")) for one in values)
    told = to_builtins(first)
    others = [name for name in told if name not in _NOT_SETTINGS and _told(told[name])]
    settings = [(Cell(name), Cell(_told(told[name]))) for name in others]
    asked = [(Cell(f"questions, {one.task}"), Cell(str(one.n))) for one in _first_of_tasks(values) if one.n]
    doubts = dict.fromkeys(f"Doubt, {one.task} {one.metric}: {said}." for one in values for said in one.doubts)
    groups = (Group(f"in {first.unit}", measured), Group("settings", (*settings, *asked)))
    return Table(f"{first.id}: {first.system}", ("", "published"), groups, tuple(doubts))


_NOT_SETTINGS = frozenset({"id", "system", "task", "metric", "value", "written", "unit", "n", "doubts"})


def _first_of_tasks(values: Sequence[Entry]) -> list[Entry]:
    return list({entry.task: entry for entry in reversed(values)}.values())[::-1]


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def to_csv(kept: Sequence[Entry]) -> str:
    """A line for each value, with every field."""
    every = [to_builtins(entry) for entry in kept]
    return csv_text([list(every[0]), *([_in_csv(value) for value in one.values()] for one in every)])


def _in_csv(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, tuple) else "" if value is None else value
