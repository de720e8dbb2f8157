"""clara-bench leaderboard: runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.errors import BenchError
from clara_bench.io.terminal import console, note, say, shown

if TYPE_CHECKING:
    from rich.table import Table

    from clara_bench.reporting.leaderboard import Board


@click.command()
@click.argument("root", default="runs", type=click.Path(path_type=Path))
@click.option("-f", "--format", "kind", default="rich", show_default=True,
              type=click.Choice(["rich", "markdown", "csv", "latex", "json"]), help="How to print it.")  # fmt: skip
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC", help="A column; repeatable.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of the intervals.")  # fmt: skip
def leaderboard(root: Path, kind: str, names: tuple[str, ...], seed: int) -> None:
    """Rank the runs below ROOT; only rows that saw equal candidates stand in one section.

    A run whose files cannot be read is named on stderr and left out.

    \b
    Examples:
      clara-bench leaderboard runs
      clara-bench leaderboard results --format markdown -m em -m f1 -m recall@5
    """
    from clara_bench.records.results import find_runs
    from clara_bench.reporting.formats import FORMATS
    from clara_bench.reporting.leaderboard import boards

    found = boards(find_runs(root, _left_out), names, seed)
    if kind == "rich":
        print_boards(found, names)
    else:
        say(FORMATS[kind](found, names), end="")


def _left_out(error: BenchError) -> None:
    note(f"warning: left out: {error}")


def print_boards(found: Sequence[Board], names: Sequence[str] = ()) -> None:
    """Tables on the terminal, one a board, a rule between sections; columns that do not fit are left out by name."""
    from clara_bench.reporting.formats import NOTE, table, title

    screen = console()
    unbounded = screen.options.update(max_width=10**6)
    for board in found:
        head, rows = table(board, names)
        kept = head
        while len(kept) > 4 and screen.measure(_rich(kept, rows), options=unbounded).maximum > screen.width:
            kept = kept[:-1]
        screen.print(shown(title(board), "bold"))
        screen.print(_rich(kept, rows))
        if len(kept) < len(head):
            screen.print(shown(f"too narrow for: {', '.join(head[len(kept) :])}", "dim"))
    screen.print(shown(NOTE, "dim"))


def _rich(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Column, Table

    table = Table(*(Column(shown(name)) for name in head))
    for number, row in enumerate(rows):
        last = number + 1 == len(rows) or rows[number + 1][:2] != row[:2]
        table.add_row(*(shown(value, no_wrap=True) for value in row[: len(head)]), end_section=last)
    return table
