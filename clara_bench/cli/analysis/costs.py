"""clara-bench costs: what runs cost, offline and online."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.io.terminal import json_text

if TYPE_CHECKING:
    from clara_bench.analysis.costs import Encoder


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model-config", metavar="FILE", type=click.Path(path_type=Path),
              help="config.json of the reader's model, where the run does not tell its shape.")  # fmt: skip
@click.option("--encoder", metavar="FOLDER", type=click.Path(path_type=Path),
              help="Model of the dense retriever (config.json, tokenizer.json), to count its operations.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@table_options
def costs(
    runs: tuple[Path, ...], model_config: Path | None, encoder: Path | None, wide: bool, kind: str | None,
    output: Path | None,
) -> None:  # fmt: skip
    """Show what RUNS cost offline and online.

    Offline costs are per passage, online costs per question; their break-even is shown. Seconds come from the records,
    operations from the model's shape. Runs that compress ahead are compared with those that read text, over the same
    questions in the same setting. RUNS are run directories, or folders of them.

    \b
    Examples:
      clara-bench costs reference/costs/nq
      clara-bench costs results/nq/clara-8x results/nq/bm25-text
      clara-bench costs results/nq/dense-text --encoder all-MiniLM-L6-v2
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
    reads = None if encoder is None else _encoder(encoder)
    found = [of(run, shape, reads) for path in runs for run in find_runs(path)]
    if form == "json":
        write(json_text(cost_tables.to_builtins(found)), output)
    elif form == "csv":
        write(cost_tables.to_csv(found), output)
    else:
        write_tables(cost_tables.tables(found), cost_tables.notes(found), form, output, wide)


def _encoder(folder: Path) -> Encoder:
    from typing import Any

    from clara_bench.analysis.costs import Encoder
    from clara_bench.analysis.flops import from_config
    from clara_bench.errors import DataError, MissingDependency
    from clara_bench.io.parsing import read_json

    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise MissingDependency("counting an encoder's tokens", str(error.name), "hf") from error
    shape, file = from_config(read_json(folder / "config.json", dict[str, Any]), str(folder)), folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # of the library's own kind
        raise DataError(f"{file}: cannot be read: {error}. Name the folder of a sentence encoder") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Encoder(shape, lambda text: len(tokenizer.encode(text).ids))
