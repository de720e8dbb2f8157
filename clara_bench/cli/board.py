"""clara-bench leaderboard: runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.cli.table import FORMATS, format_of, write, write_tables
from clara_bench.errors import BackendError, BenchError, DataError
from clara_bench.io.progress import progress
from clara_bench.io.terminal import note

if TYPE_CHECKING:
    from clara_bench.records.results import Run
    from clara_bench.reporting.leaderboard import Board
    from clara_bench.reporting.scored import Scorer
    from clara_bench.reporting.views import View


@click.command()
@click.argument("root", default="runs", type=click.Path(path_type=Path))
@click.option("-m", "--columns", "--metric", "columns", multiple=True, metavar="NAME[,NAME...]",
              help="Columns: metrics, traits such as backbone, or index_bytes; repeatable.")  # fmt: skip
@click.option("--sort", default="", metavar="COLUMN",
              help="Rank rows by this column; by default the task's main metric.")  # fmt: skip
@click.option("--tasks-as-columns", is_flag=True, help="A row for each system, its main metric on every task.")
@click.option("--wide", is_flag=True, help="All columns, in lines as long as they need.")
@click.option("--verbose", is_flag=True, help="Hashes of questions and candidates too.")
@click.option("-f", "--format", "kind", type=click.Choice(FORMATS),
              help="How to write it; by default by the name of --output, else rich (for a terminal).")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write to this .md, .tex, .csv or .json file.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of the intervals.")  # fmt: skip
def leaderboard(
    root: Path,
    columns: tuple[str, ...],
    sort: str,
    tasks_as_columns: bool,
    wide: bool,
    verbose: bool,
    kind: str | None,
    output: Path | None,
    seed: int,
) -> None:
    """Rank the runs below ROOT; only rows of one section saw the same passages and may be ranked.

    A run whose files cannot be read is named on stderr and left out.

    \b
    Examples:
      clara-bench leaderboard runs
      clara-bench leaderboard results --tasks-as-columns -o table.tex
      clara-bench leaderboard results --columns em,f1,recall@5,backbone --sort seconds
    """
    from clara_bench.reporting.views import View, named, to_score

    asked = tuple(named(name.strip()) for given in columns for name in given.split(",") if name.strip())
    view = View(asked, named(sort), wide, verbose)
    form = kind or format_of(output)
    names = to_score(view)
    show(_scored(root, names, seed), form, output, view, tasks_as_columns)


def _scored(root: Path, names: Sequence[str], seed: int) -> list[Board]:
    """The boards of all runs below a folder, with a word on stderr of those that cannot be read.

    Raises:
        DataError: there is none that can be read.
    """
    from clara_bench.records.results import find_runs
    from clara_bench.reporting.leaderboard import boards

    runs = find_runs(root, _left_out)
    with progress("scoring", len(runs), "runs") as advance:
        found = boards(_counted(runs, advance), names, seed, cached_scorer(), _left_out)
    if not found:
        raise DataError(f"{root}: none of its runs can be read")
    return found


def _counted(runs: Sequence[Run], advance: Callable[[int], None]) -> Iterator[Run]:
    for run in runs:
        yield run
        advance(1)


def _left_out(error: BenchError) -> None:
    note(f"warning: left out: {error}")


def cached_scorer() -> Scorer:
    """One that keeps scores in the user's cache, or with a warning one that does not."""
    from clara_bench.reporting.scored import CachedScorer, Scorer

    try:
        return CachedScorer()
    except BackendError as error:
        note(f"warning: scores are not kept: {error}")
        return Scorer()


def show(
    found: Sequence[Board], form: str, output: Path | None, view: View | None = None, tasks_as_columns: bool = False
) -> None:
    """Print leaderboards, or write them to a file."""
    from clara_bench.reporting import formats, views
    from clara_bench.reporting.task_columns import by_task

    machine: dict[str, Callable[[Sequence[Board]], str]] = {"csv": formats.to_csv, "json": formats.to_json}
    if form in machine:
        write(machine[form](found), output)
        return
    chosen = view or views.DEFAULT
    tables = (by_task if tasks_as_columns else views.tables)(found, chosen)
    write_tables(tables, views.notes(tables), form, output, chosen.wide)
