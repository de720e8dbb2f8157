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
    """Put copies of finished RUNS, or of all below a folder, into the results folder: one packed file for each task.

    \b
    Example:
      clara-bench publish runs/nq --to results
    """
    from clara_bench.records.results import find_runs
    from clara_bench.records.results import publish as copy
    from clara_bench.reporting.scoring import score_run, write_scores

    found = [run for folder in runs for run in find_runs(folder)]
    for run in found:
        write_scores(run, score_run(run, seed=run.manifest["request"]["seed"]))
    for path in copy(found, root):
        say(path)
