"""clara-bench publish: copy finished runs to where results are kept."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.io.terminal import say


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "root", default="results", show_default=True, type=click.Path(path_type=Path),
              help="Folder of published results.")  # fmt: skip
def publish(runs: tuple[Path, ...], root: Path) -> None:
    """Copy finished RUNS, or all below a folder, to the results folder, large files gzipped.

    \b
    Example:
      clara-bench publish runs/nq --to results
    """
    from clara_bench.records.results import find_runs
    from clara_bench.records.results import publish as copy
    from clara_bench.reporting.scoring import score_run, write_scores

    for folder in runs:
        for run in find_runs(folder):
            write_scores(run, score_run(run))
            say(copy(run, root))
