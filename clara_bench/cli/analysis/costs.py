"""clara-bench costs: what runs cost, offline and online."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.io.terminal import json_text


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model-config", metavar="FILE", type=click.Path(path_type=Path),
              help="config.json of the reader's model, where the run does not tell its shape.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@table_options
def costs(runs: tuple[Path, ...], model_config: Path | None, wide: bool, kind: str | None, output: Path | None) -> None:
    """Show what RUNS cost offline and online.

    Offline costs are per passage, online costs per question; their break-even is shown. Seconds come from the records,
    operations from the model's shape. Runs that compress ahead are compared with those that read text, over the same
    questions in the same setting. RUNS are run directories, or folders of them.

    \b
    Examples:
      clara-bench costs reference/costs/nq
      clara-bench costs results/nq/clara-8x results/nq/bm25-text
      clara-bench costs runs/nq/rag --model-config SmolLM2-135M-Instruct/config.json -o costs.csv
    """
    from typing import Any

    from clara_bench.analysis import cost_tables, flops
    from clara_bench.analysis.costs import costs as of
    from clara_bench.io.parsing import read_json
    from clara_bench.records.results import find_runs

    form = kind or format_of(output)
    shape = None
    if model_config is not None:
        shape = flops.from_config(read_json(model_config, dict[str, Any]), str(model_config))
    found = [of(run, shape) for path in runs for run in find_runs(path)]
    if form == "json":
        write(json_text(cost_tables.to_builtins(found)), output)
    elif form == "csv":
        write(cost_tables.to_csv(found), output)
    else:
        write_tables(cost_tables.tables(found), cost_tables.notes(found), form, output, wide)
