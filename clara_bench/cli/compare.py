"""clara-bench compare: by how much runs differ from a baseline over the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.io.terminal import print_table, say, say_json

if TYPE_CHECKING:
    from clara_bench.metrics.statistics import Difference

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("baseline", type=PATH)
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC",
              help="A metric; repeatable; by default EM, F1, recall and context positions.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print {run: {metric: {mean, ci95, higher, lower, n}}}.")
def compare(baseline: Path, runs: tuple[Path, ...], names: tuple[str, ...], seed: int, as_json: bool) -> None:
    """By how much RUNS differ from BASELINE, question by question, with a paired 95 % interval.

    All are run directories that answer the same questions; an interval without 0 is a difference.

    \b
    Examples:
      clara-bench compare runs/nq/bm25-text/distractor-0123456789ab runs/nq/clara-*/*
      clara-bench compare runs/nq/rag/corpus-0123456789ab runs/nq/rag/corpus-ba9876543210 -m em --json
    """
    from clara_bench.records.results import open_run
    from clara_bench.reporting import comparison

    first = open_run(baseline)
    found = {str(path): comparison.compare(first, open_run(path), names, seed) for path in runs}
    if as_json:
        say_json(found)
        return
    _print(found)
    say(f"each less {baseline}, with a paired 95 % bootstrap interval")


def _print(found: dict[str, dict[str, Difference]]) -> None:
    rows = [[path, name, *_cells(one)] for path, differences in found.items() for name, one in differences.items()]
    print_table(["run", "metric", "difference", "95 % interval", "questions higher", "lower", "of"], rows)


def _cells(one: Difference) -> list[str]:
    mean = "–" if one.mean is None else f"{one.mean:+.4f}"
    interval = "–" if one.ci95 is None else f"{one.ci95[0]:+.4f} – {one.ci95[1]:+.4f}"
    return [mean, interval, str(one.higher), str(one.lower), str(one.n)]
