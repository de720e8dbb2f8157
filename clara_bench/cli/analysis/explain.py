"""clara-bench explain: where answers are lost."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.io.terminal import json_text


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-m", "--metric", default="em", show_default=True, help="Metric of the ladder.")
@click.option("--root", metavar="FOLDER", type=click.Path(path_type=Path),
              help="Where the other runs of the ladder are. Default: the folder of the run's task.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@table_options
def explain(
    runs: tuple[Path, ...], metric: str, root: Path | None, wide: bool, kind: str | None, output: Path | None
) -> None:
    """Show at which step RUNS lose their answers.

    The steps are retrieval, compression and reading. A ladder compares the run with runs of the same backbone over the
    same questions: without passages, with random candidates, with the gold passages, with these as text. Each wrong
    answer gets a cause, counted by hop count and by kind of question. RUNS are run directories, or folders of them.

    \b
    Examples:
      clara-bench explain results/musique/clara-8x
      clara-bench explain results/nq/clara-8x results/nq/bm25-text -m f1
      clara-bench explain runs/musique/rag -o causes.csv
    """
    from clara_bench.analysis import explain_tables
    from clara_bench.analysis.explain import explain as explained
    from clara_bench.analysis.explain import judged
    from clara_bench.cli.board import cached_scorer
    from clara_bench.records.results import find_runs
    from clara_bench.reporting.scored import Remembering

    form, scorer = kind or format_of(output), Remembering(cached_scorer())
    chosen = [run for path in runs for run in find_runs(path)]
    near = {folder: find_runs(folder) for folder in {root or run.path.parents[1] for run in chosen}}
    found = judged([explained(run, near[root or run.path.parents[1]], metric, scorer) for run in chosen])
    if form == "json":
        write(json_text(explain_tables.to_builtins(found)), output)
    elif form == "csv":
        write(explain_tables.to_csv(found), output)
    else:
        write_tables(explain_tables.tables(found), explain_tables.notes(found), form, output, wide)
