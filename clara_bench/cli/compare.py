"""clara-bench compare: differences between runs and a baseline over the same questions."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.cli.board import cached_scorer
from clara_bench.cli.table import FORMATS, format_of, write, write_tables
from clara_bench.io.terminal import json_text


@click.command()
@click.argument("baseline")
@click.argument("runs", nargs=-1, required=True)
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC",
              help="Metric to compare. Repeatable. Default: EM, F1, recall and context positions.")  # fmt: skip
@click.option("--root", default="runs", show_default=True, type=click.Path(path_type=Path),
              help="Folder in which labels are looked up.")  # fmt: skip
@click.option("-f", "--format", "kind", type=click.Choice(FORMATS),
              help="Output format. Default: by the suffix of --output, else rich (for a terminal).")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write to this .md, .tex, .csv or .json file.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def compare(
    baseline: str,
    runs: tuple[str, ...],
    names: tuple[str, ...],
    root: Path,
    kind: str | None,
    output: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Paired differences between RUNS and BASELINE over the same questions, with 95 % CI.

    Each is a run directory, a folder of runs, or the label of runs below --root. Runs are paired with the baseline that
    answers the same questions. JSON is {run: {metric: {mean, ci95, higher, lower, n}}}.

    \b
    Examples:
      clara-bench compare bm25-text clara-8x clara-16x --root results
      clara-bench compare results/nq/bm25-text results/nq -m em -f latex
      clara-bench compare runs/nq/rag/corpus-0123456789ab runs/nq/rag/corpus-ba9876543210 -m em --json
    """
    from clara_bench.reporting import pairs

    form = "json" if as_json else kind or format_of(output)
    found = [run for what in runs for run in pairs.find(what, root)]
    scorer = cached_scorer()
    done = [pairs.compare(*pair, names, seed, scorer) for pair in pairs.pair(pairs.find(baseline, root), found)]
    if form == "json":
        write(json_text({str(one.run.path): one.differences for each in done for one in each.compared}), output)
    elif form == "csv":
        write(pairs.to_csv(done), output)
    else:
        write_tables([pairs.table(one) for one in done], pairs.NOTES, form, output)
