"""Tables on a terminal, as many columns as fit and the names of those that do not; and tables into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from clara_bench.cli.options import Command
from clara_bench.errors import ConfigError
from clara_bench.io.cache import write_atomic
from clara_bench.io.terminal import WIDE, console, note, say, shown
from clara_bench.reporting import tables
from clara_bench.reporting.tables import Cell

if TYPE_CHECKING:
    from rich.console import Console  # noqa: TID251 - its type alone
    from rich.table import Table as Grid

    from clara_bench.reporting.tables import Table

GAP = 2
NAME = 26
"""Characters of the first column that no other column takes away."""


FORMATS = ("rich", "markdown", "latex", "csv", "json")
SUFFIXES: Mapping[str, str] = MappingProxyType({".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json"})
"""The format by file suffix."""


def table_options(command: Command) -> Command:
    """--format and --output, the values of `kind` and `output`."""
    said = "Output format. Default: by the suffix of --output, else rich (for a terminal)."
    form = click.option("-f", "--format", "kind", type=click.Choice(FORMATS), help=said)
    output = click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
                          help="Write to this .md, .tex, .csv or .json file.")  # fmt: skip
    return form(output(command))


def format_of(output: Path | None) -> str:
    """The format that a file's name asks for; rich, for a terminal, where there is no file.

    Raises:
        ConfigError: none.
    """
    if output is None:
        return "rich"
    if output.suffix not in SUFFIXES:
        raise ConfigError(f"--output {output}: expected a name that ends in {', '.join(SUFFIXES)}, or a --format")
    return SUFFIXES[output.suffix]


def write(text: str, output: Path | None) -> None:
    """Write to a file, atomically, else to standard output."""
    if output is None:
        say(text, end="")
    else:
        write_atomic(output, text)
        note(f"written: {output}")


def write_tables(
    found: Sequence[Table], notes: Sequence[str], form: str, output: Path | None = None, wide: bool = False
) -> None:
    """Write tables for people.

    Args:
        found: the tables.
        notes: what is said once, below them.
        form: rich, markdown or latex.
        output: the file to write to; None for standard output.
        wide: on a terminal, draw every column, however long the lines get.
    """
    if form == "rich" and output is None:
        _print(found, notes, wide)
    elif form == "rich":
        raise ConfigError("--format rich is for the terminal. Choose markdown, latex, csv or json for a file")
    else:
        write({"markdown": tables.markdown, "latex": tables.latex}[form](found, notes), output)


def _print(found: Sequence[Table], notes: Sequence[str], wide: bool) -> None:
    screen = console(WIDE, fixed=wide)
    for table in found:
        _draw(screen, table)
    for sentence in notes:
        screen.print(shown(sentence, "dim"))


def _draw(screen: Console, table: Table) -> None:
    lines = _lines(table)
    widths = _widths([[name] for name in table.head], lines)
    if _fitting(widths, screen.width) < len(widths):
        widths = _widths([name.split() for name in table.head], lines)
    kept = _fitting(widths, screen.width)
    widths[0] = min(widths[0], max(1, screen.width - sum(width + GAP for width in widths[1:kept])))
    screen.print(shown(table.title, "bold"))
    if table.groups:
        screen.print(_grid([[Cell(name) for name in table.head[:kept]]], widths[:kept], "dim"))
    for group, rows in zip(table.groups, lines, strict=True):
        screen.print(shown(group.title, "cyan"))
        screen.print(_grid([row[:kept] for row in rows], widths[:kept]))
    told = [*table.caption]
    if table.groups and kept < len(table.head):
        told.append(f"Not shown in {screen.width} columns: {', '.join(table.head[kept:])} (see --wide, --columns).")
    for sentence in told:
        screen.print(shown(sentence, "dim"))
    screen.print()


def _lines(table: Table) -> list[list[list[Cell]]]:
    """The rows of each group; ties with the best are marked, and the column is padded accordingly."""
    rows = [row for group in table.groups for row in group.rows]
    marked = [any(row[place].tied for row in rows) for place in range(len(table.head))]
    return [
        [
            [replace(cell, text=f"{cell.text} {'≈' if cell.tied else ' '}") if mark else cell
             for cell, mark in zip(row, marked, strict=True)]
            for row in group.rows
        ]
        for group in table.groups
    ]  # fmt: skip


def _widths(heads: Sequence[Sequence[str]], groups: Sequence[Sequence[Sequence[Cell]]]) -> list[int]:
    """Of each column: its widest cell, or the longest part of its head."""
    from rich.cells import cell_len

    rows = [row for group in groups for row in group]
    return [
        max([*map(cell_len, parts), *(cell_len(row[place].text) for row in rows)]) for place, parts in enumerate(heads)
    ]


def _fitting(widths: Sequence[int], screen: int) -> int:
    """How many columns fit, the first in at least `NAME` characters; two at least."""
    name = min(widths[0], NAME)
    fits = [n for n in range(2, len(widths) + 1) if name + sum(width + GAP for width in widths[1:n]) <= screen]
    return max(fits, default=min(2, len(widths)))


def _grid(rows: Sequence[Sequence[Cell]], widths: Sequence[int], style: str = "") -> Grid:
    from rich.table import Column, Table

    columns = [
        Column(width=width, justify="right" if place else "left", overflow="fold") for place, width in enumerate(widths)
    ]
    grid = Table(*columns, box=None, show_header=False, padding=(0, GAP, 0, 0), pad_edge=False)
    for row in rows:
        grid.add_row(*(shown(cell.text, "bold" if cell.best else style) for cell in row))
    return grid
