"""A leaderboard as one table per task: columns, their order, and captions for what all rows share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from clara_bench import metrics
from clara_bench.errors import UnknownName
from clara_bench.metrics import Metric
from clara_bench.reporting.formats import INDEX, RATIO, cell, counted, head, index_cell, plain, trait_cell, with_nominal
from clara_bench.reporting.leaderboard import (
    COLUMNS,
    PARETO,
    TIE,
    TRAITS,
    Board,
    Guess,
    Row,
    Section,
    best,
    ranked,
    tied,
)
from clara_bench.reporting.tables import Cell, Group, Table

BRIEF = ("recall@5", "context_positions", "effective_ratio_micro", "seconds")
"""Shown behind the main metric when the user names no columns."""
NOTES = (
    "Fractions in %. ±: half the width of the 95 % CI, which is written low–high where it is lopsided. "
    "†: failed questions, scored 0. Context tokens: the evidence that the reader attends to, in tokens of text or "
    "memory tokens. Ratio: tokens of the same evidence as text, divided by these; in brackets the nominal one.",
)


@dataclass(frozen=True, slots=True)
class View:
    """How a leaderboard is to be shown."""

    columns: tuple[str, ...] = ()
    """Metrics, traits or index_bytes; () for the main metric and `BRIEF`."""
    sort: str = ""
    """The column that rows are ranked by; "" for the main metric."""
    wide: bool = False
    """Every column that was scored or declared, with every interval."""
    verbose: bool = False
    """Show hashes of questions and candidates."""


DEFAULT = View()

Values = Callable[[Row], str]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    metric: Metric | None
    show: Values

    @property
    def head(self) -> str:
        return head(self.name)


def to_score(view: View) -> tuple[str, ...]:
    """The metrics that a view needs, main metrics aside.

    Raises:
        UnknownName, ConfigError: a column is neither a metric nor a trait.
    """
    asked = [name for name in (*view.columns, view.sort) if name and name not in (*TRAITS, INDEX, "system")]
    for name in asked:
        _check(name)
    return tuple(dict.fromkeys(asked if view.columns else [*COLUMNS, *asked]))


def _check(name: str) -> None:
    try:
        metrics.get(name)
    except UnknownName:
        cutoff = name.partition("@")[2] or "k"
        known = (one.replace("@k", f"@{cutoff}") for one in metrics.names())
        raise UnknownName("column", name, [*known, *TRAITS, INDEX]) from None


def tables(found: Sequence[Board], view: View = DEFAULT) -> list[Table]:
    """A table for each board, a group for each section; a column that is the same in every row goes to the caption."""
    return [_table(board, title, view) for board, title in zip(found, titles(found, view), strict=True)]


def _table(board: Board, title: str, view: View) -> Table:
    columns = _columns(board, view)
    kept, caption = _without_constant(board.rows, columns, view)
    return Table(
        title=title,
        head=("system", *(column.head for column in kept)),
        groups=tuple(_group(section, kept, board.main_metric, view) for section in board.sections),
        caption=caption,
    )


def _group(section: Section, columns: Sequence[_Column], main: str, view: View) -> Group:
    rows = _sorted(section.rows, view.sort or main)
    marked = {column.name: marks(rows, column.metric) for column in columns}
    told = f"{section.passages} [{section.candidates_hash[:8]}]" if view.verbose else section.passages
    lines = [(Cell(row.name), *(marked[c.name](row, _starred(row, c)) for c in columns)) for row in rows]
    return Group(told, (*lines, *(_guessed(guess, columns) for guess in section.guesses)))


def _guessed(guess: Guess, columns: Sequence[_Column]) -> tuple[Cell, ...]:
    """A chance line, which is no part of any ranking."""
    values = (plain(c.metric, guess.metrics.get(c.name)) if c.metric else "–" for c in columns)
    return (Cell(guess.label), *map(Cell, values))


def _starred(row: Row, column: _Column) -> str:
    return f"{column.show(row)}{' *' * (column.name in row.pareto)}"


def marks(rows: Sequence[Row], metric: Metric | None) -> Callable[[Row, str], Cell]:
    """Marks a row's cell as the best of the column, or as tied with it."""
    top = best(rows, metric) if metric else []

    def mark(row: Row, text: str) -> Cell:
        if metric is None or not top:
            return Cell(text)
        return Cell(text, best=row in top, tied=row not in top and tied(row, metric))

    return mark


def _sorted(rows: Sequence[Row], by: str) -> list[Row]:
    if by == "system":
        return sorted(rows, key=lambda row: row.name)
    if by == INDEX:
        return sorted(rows, key=lambda row: (row.index_bytes is None, row.index_bytes or 0.0))
    if by in TRAITS:
        return sorted(rows, key=lambda row: trait_cell(row.traits.get(by)))
    return ranked(rows, metrics.get(by))


def _columns(board: Board, view: View) -> list[_Column]:
    """Those asked for; else the ones that some row has a value of."""
    if view.columns:
        return [_column(name, intervals=True) for name in dict.fromkeys(view.columns)]
    names = [board.main_metric, *((*COLUMNS, *TRAITS, INDEX) if view.wide else BRIEF)]
    found = [_column(name, view.wide or name == board.main_metric) for name in dict.fromkeys(names)]
    return [column for column in found if any(column.show(row) != "–" for row in board.rows)]


def _column(name: str, intervals: bool) -> _Column:
    if name in TRAITS:
        return _Column(name, None, lambda row: trait_cell(row.traits.get(name)))
    if name == INDEX:
        return _Column(name, None, index_cell)
    metric = metrics.get(name)
    return _Column(name, metric, partial(value_cell, metric, intervals and metric.unit == "fraction"))


def value_cell(metric: Metric, interval: bool, row: Row) -> str:
    """A row's value, with its interval or without; of several seeds also the lowest and the highest."""
    summary, spread = row.metrics.get(metric.name), row.spread.get(metric.name)
    text = cell(metric, summary if interval or summary is None else replace(summary, ci95=None))
    text = with_nominal(text, row.traits) if metric.name == RATIO else text
    if not interval or spread is None:
        return text
    return f"{text} [{plain(metric, spread.lowest)}–{plain(metric, spread.highest)}]"


def _without_constant(
    rows: Sequence[Row], columns: Sequence[_Column], view: View
) -> tuple[list[_Column], tuple[str, ...]]:
    """The columns that tell rows apart, and a sentence with what all rows share, undisplayed traits among it."""
    traits = [_column(trait, False) for trait in TRAITS]
    hidden = [column for column in traits if column.name not in {one.name for one in columns}]
    fixed = [] if view.columns or len(rows) < 2 else [c for c in columns[1:] if len(_values(rows, c)) == 1]
    shared = [(column.head, *_values(rows, column)) for column in [*hidden, *fixed] if len(_values(rows, column)) == 1]
    told = ", ".join(f"{head} {value}" for head, value in shared if value != "–")
    return [column for column in columns if column not in fixed], (f"In every row: {told}.",) if told else ()


def _values(rows: Sequence[Row], column: _Column) -> set[str]:
    return {column.show(row) for row in rows}


def titles(found: Sequence[Board], view: View = DEFAULT) -> list[str]:
    """One line above each table, no two the same."""
    told: list[str] = []
    for board in found:
        title = f"{board.task} · {board.origin} · {counted(board.questions, 'question')}"
        again = sum(one == title or one.startswith(f"{title} (") for one in told)
        title = f"{title} (set {again + 1} of questions)" if again else title
        told.append(title)
    if view.verbose:
        return [f"{t} · version {b.version} [{b.questions_hash[:8]}]" for t, b in zip(told, found, strict=True)]
    return told


SEEDS = (
    "Seeds: the mean over runs that differ in a seed alone; CI over questions, in brackets the lowest and highest run."
)


def notes(found: Sequence[Table]) -> tuple[str, ...]:
    """Notes below all tables."""
    cells = [one for table in found for group in table.groups for row in group.rows for one in row]
    tied = [f"Best of a section in bold; ≈: {TIE}."] if any(one.tied for one in cells) else []
    approximate = ["‡: tokens of evidence counted approximately."] if any(" ‡" in one.text for one in cells) else []
    front = [f"*: Pareto, {PARETO}."] if any(one.text.endswith(" *") for one in cells) else []
    seeds = [SEEDS] if any(" seeds)" in one.text for one in cells) else []
    return (*NOTES, *approximate, *seeds, *tied, *front)
