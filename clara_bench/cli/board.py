"""clara-bench leaderboard, compare: rank runs, and compare them with a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.cli.analysis.options import by_option
from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.errors import BackendError, BenchError, ConfigError, DataError
from clara_bench.io.progress import progress
from clara_bench.io.terminal import json_text, note

if TYPE_CHECKING:
    from clara_bench.analysis.parts import By
    from clara_bench.records.results import Run
    from clara_bench.records.trainings import By as Grouping
    from clara_bench.reporting.leaderboard import Board
    from clara_bench.reporting.scored import Scorer
    from clara_bench.reporting.views import View


group_by = click.option(
    "--group-by", "group", default="seed", show_default=True, type=click.Choice(["seed", "label", "run"]),
    help="What is one row: runs that differ in a seed alone, runs of one label up to -seedN, or each run.",
)  # fmt: skip


@click.command()
@click.argument("root", default="runs", type=click.Path(path_type=Path))
@click.option("-m", "--columns", "--metric", "columns", multiple=True, metavar="NAME[,NAME...]",
              help="Columns: metrics, traits such as backbone, or index_bytes. Repeatable.")  # fmt: skip
@click.option("--sort", default="", metavar="COLUMN",
              help="Column to rank by. Default: the task's main metric.")  # fmt: skip
@click.option(
    "--tasks-as-columns",
    is_flag=True,
    help="One row per system: the main metric on each task, then means over the tasks.",
)
@group_by
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@click.option("--verbose", is_flag=True, help="Show hashes of questions and candidates.")
@click.option("--chance", is_flag=True,
              help="Show what a coin, the most frequent answer and a reader of random passages score.")  # fmt: skip
@by_option
@table_options
def leaderboard(
    root: Path,
    columns: tuple[str, ...],
    sort: str,
    tasks_as_columns: bool,
    group: Grouping,
    wide: bool,
    verbose: bool,
    chance: bool,
    by: By | None,
    kind: str | None,
    output: Path | None,
) -> None:
    """Rank the runs below ROOT. Rows of one section saw the same questions and passages.

    Runs that cannot be read are reported on stderr and left out.

    \b
    Examples:
      clara-bench leaderboard runs
      clara-bench leaderboard results --tasks-as-columns -o table.tex
      clara-bench leaderboard results --columns em,f1,recall@5,backbone --sort seconds
      clara-bench leaderboard results --columns em --chance --by two-way
    """
    from clara_bench.metrics.plugin import split
    from clara_bench.reporting.formats import named
    from clara_bench.reporting.views import View, to_score

    asked = tuple(named(name) for given in columns for name in split(given))
    view = View(asked, named(sort), wide, verbose)
    form = kind or format_of(output)
    names = to_score(view)
    show(_scored(root, names, chance, by, group), form, output, view, tasks_as_columns)


def _scored(root: Path, names: Sequence[str], chance: bool, by: By | None, group: Grouping) -> list[Board]:
    """The boards of all runs below a folder; runs that cannot be read are reported on stderr.

    Raises:
        DataError: there is none that can be read.
    """
    from clara_bench.analysis import chance as chances
    from clara_bench.records.results import find_runs
    from clara_bench.reporting.leaderboard import boards

    runs = divided(_whole(find_runs(root, _left_out)), by, _left_out)
    with progress("scoring", len(runs), "runs") as advance:
        found = boards(_counted(runs, advance), names, scorer=cached_scorer(), left_out=_left_out, by=group)
    if not found:
        raise DataError(f"{root}: none of its runs can be read")
    return chances.added(found, runs) if chance else found


def _whole(runs: Sequence[Run]) -> Sequence[Run]:
    """The runs without shards, whose questions the merged run has; shards where there is nothing else."""
    whole = [run for run in runs if "shard" not in run.manifest]
    if whole and len(whole) < len(runs):
        note(f"{len(runs) - len(whole)} shards are left out; clara-bench merge makes runs of them")
    return whole or runs


def divided(runs: Sequence[Run], by: By | None, left_out: Callable[[BenchError], None] | None = None) -> Sequence[Run]:
    """The runs, or their parts."""
    from clara_bench.analysis.parts import parts

    return runs if by is None else parts(runs, by, left_out)


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


@click.command()
@click.argument("baseline")
@click.argument("runs", nargs=-1)
@click.option("--published", "ids", multiple=True, metavar="ID",
              help="Compare the runs with this published row instead (clara-bench published). Repeatable.")  # fmt: skip
@click.option("--from", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Another file of published numbers than the one that ships.")  # fmt: skip
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC",
              help="Metric to compare. Repeatable. Default: EM, F1, recall and context tokens.")  # fmt: skip
@click.option("--root", default="runs", show_default=True, type=click.Path(path_type=Path),
              help="Folder in which labels are looked up.")  # fmt: skip
@table_options
@by_option
@group_by
@click.option("--over-tasks", is_flag=True, help="Compare means over the tasks, each task counting the same.")
@click.option("--by-passage", is_flag=True,
              help="Questions that need the same passage count as one observation.")  # fmt: skip
@click.option("--flips", is_flag=True, help="List the questions that became right or wrong.")
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def compare(
    baseline: str,
    runs: tuple[str, ...],
    ids: tuple[str, ...],
    file: Path | None,
    names: tuple[str, ...],
    root: Path,
    by: By | None,
    kind: str | None,
    output: Path | None,
    group: Grouping,
    over_tasks: bool,
    by_passage: bool,
    flips: bool,
    wide: bool,
    as_json: bool,
) -> None:
    """Compare RUNS with BASELINE, question by question.

    Prints paired differences over the same questions, with 95 % CI and corrected tests. Each is a run directory, a
    folder of runs, or the label of runs below --root. Runs are paired with the baseline that answers the same
    questions. Runs that differ in a seed alone (labels NAME and NAME-seedN) are one system: CI and p are then over
    trainings too. JSON is {run: {metric: {mean, ci95, p, p_holm, rescued, broken, ...}}}. docs/statistics.md says what
    each number is.

    \b
    Examples:
      clara-bench compare bm25-text clara-8x clara-16x --root results
      clara-bench compare results/nq/bm25-text results/nq -m em -f latex
      clara-bench compare bm25-text clara-8x --root results -m em --flips
      clara-bench compare bm25-text clara-8x --root results -m em --by two-way
      clara-bench compare gold-salient gold-cocom --root results/latents -m em --over-tasks
      clara-bench compare clara-8x --root results --published clara-t6-instruct-mistral-normal-4x
      clara-bench compare runs/nq/rag/corpus-0123456789ab runs/nq/rag/corpus-ba9876543210 -m em --json
    """
    from clara_bench.cli.analysis import published as closely
    from clara_bench.reporting import pair_tables, pairs
    from clara_bench.reporting.formats import named
    from clara_bench.reporting.scored import Remembering

    form = "json" if as_json else kind or format_of(output)
    baselines = pairs.find(baseline, root, group)
    found = [run for what in runs for run in pairs.find(what, root, group)]
    scorer = Remembering(cached_scorer())
    if ids:
        closely.show(closely.beside([*baselines, *found], ids, file, names, scorer), form, output, wide)
        return
    if not runs:
        raise ConfigError("name a run beside the baseline, or a published row: --published ID")
    way = pairs.Way(scorer, tuple(map(named, names)), by_passage)
    matched = pairs.pair(divided(baselines, by), divided(found, by), group)
    compared = [pairs.compare(*pair, way) for pair in matched]
    done = pairs.judged(pairs.over_tasks(compared, way) if over_tasks else compared)
    if form == "json":
        write(json_text(pair_tables.to_builtins(done)), output)
    elif form == "csv":
        write(pair_tables.to_csv(done), output)
    else:
        write_tables(pair_tables.tables(done, flips, way.names), pair_tables.notes(done), form, output, wide)
