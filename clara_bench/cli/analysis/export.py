"""clara-bench export: a run in the formats of others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.options import changed
from clara_bench.cli.table import write
from clara_bench.errors import ConfigError
from clara_bench.io.terminal import json_text, note

if TYPE_CHECKING:
    from clara_bench.records.results import Run
    from clara_bench.reporting.scoring import Scores

SUFFIXES: Mapping[str, str] = MappingProxyType({
    ".trec": "trec-run", ".run": "trec-run", ".qrels": "trec-qrels", ".csv": "csv", ".parquet": "parquet",
    ".json": "every-eval-ever", ".yaml": "hf",
})  # fmt: skip
"""The format by file suffix."""
FORMATS = (*dict.fromkeys(SUFFIXES.values()), "datasets")


@click.command()
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="Default: by the suffix of --output.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="File, or folder for datasets. Default for text: standard output.")  # fmt: skip
@click.option("-m", "--metric", "names", multiple=True, metavar="METRIC",
              help="Metric to export. Repeatable. Default: those of the run.")  # fmt: skip
@click.option("--organization", metavar="NAME", help="every-eval-ever: who made the run.")
@click.option("--relationship", type=click.Choice(["first_party", "third_party", "collaborative", "other"]),
              help="every-eval-ever: of that organization to the model's developer.")  # fmt: skip
@click.option("--samples", type=click.Path(path_type=Path), metavar="FILE",
              help="every-eval-ever: write the single answers too, as JSON lines.")  # fmt: skip
@click.option(
    "--dataset", default="", metavar="ID", help="hf: the benchmark's data set on the hub. Default: the run's."
)
@click.option("--task-id", default="default", show_default=True, help="hf: the task in that data set's eval.yaml.")
@click.option("--source-url", default="", metavar="URL", help="hf: a page about the run.")
@click.pass_context
def export(
    ctx: click.Context, /, path: Path, form: str | None, output: Path | None, names: tuple[str, ...], **given: Any
) -> None:
    """Write a run in the format of another program.

    The formats are TREC files, tables of records, and the files of shared leaderboards: trec-run has the rankings,
    trec-qrels the gold passages. csv, parquet and datasets have a row for each question with the answer, its cost and
    its value of each metric. every-eval-ever is a JSON record of schema 0.3.0, hf an entry for .eval_results/ of a
    model's repository. docs/exchange.md has the details.

    \b
    Examples:
      clara-bench export RUN -o bm25.trec
      clara-bench export RUN -o gold.qrels
      clara-bench export RUN -o records.parquet -m em -m f1
      clara-bench export RUN -f every-eval-ever --organization "Our lab" --relationship third_party -o record.json
      clara-bench export RUN -f hf --dataset hotpotqa/hotpot_qa -o result.yaml
    """
    from clara_bench.records.results import open_run

    chosen = form or _by_suffix(output)
    _refuse_unused(ctx, chosen)
    run = open_run(path)
    writers: dict[str, Callable[[], str | None]] = {
        "trec-run": lambda: _trec(run, qrels=False),
        "trec-qrels": lambda: _trec(run, qrels=True),
        "csv": lambda: _table(run, names, "csv", output),
        "parquet": lambda: _table(run, names, "parquet", output),
        "datasets": lambda: _table(run, names, "datasets", output),
        "every-eval-ever": lambda: _every_eval(run, names, given),
        "hf": lambda: _hub(run, given),
    }
    text = writers[chosen]()
    if text is None:
        note(f"written: {output}")
    else:
        write(text, output)


USED: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "names": ("csv", "parquet", "datasets", "every-eval-ever"), "organization": ("every-eval-ever",),
    "relationship": ("every-eval-ever",), "samples": ("every-eval-ever",), "dataset": ("hf",), "task_id": ("hf",),
    "source_url": ("hf",),
})  # fmt: skip
"""The formats that each option is for; one that is not here is for all."""


def _refuse_unused(ctx: click.Context, form: str) -> None:
    for name in sorted(changed(ctx)):
        if form not in USED.get(name, FORMATS):
            option = next(p.opts[-1] for p in ctx.command.params if p.name == name)
            raise ConfigError(f"{option} is for {', '.join(USED[name])}, not for {form}. Leave it out")


def _by_suffix(output: Path | None) -> str:
    if output is None or output.suffix not in SUFFIXES:
        raise ConfigError(f"name a --format ({', '.join(FORMATS)}), or an --output that ends in {', '.join(SUFFIXES)}")
    return SUFFIXES[output.suffix]


def _trec(run: Run, qrels: bool) -> str:
    from clara_bench.exchange import trec

    return trec.qrels_lines(run) if qrels else trec.run_lines(run)


def _table(run: Run, names: tuple[str, ...], form: str, output: Path | None) -> str | None:
    from clara_bench.exchange import tables
    from clara_bench.reporting.scoring import chosen_at

    if form != "csv" and output is None:
        raise ConfigError(f"the format {form} needs a place: -o {'FOLDER' if form == 'datasets' else 'FILE.parquet'}")
    found = tables.rows(run, names or chosen_at(run))
    if form == "csv":
        return tables.to_csv(found)
    assert output is not None, "refused above"
    {"parquet": tables.write_parquet, "datasets": tables.write_dataset}[form](found, output)
    return None


def _scores(run: Run, names: tuple[str, ...] = ()) -> Scores:
    from clara_bench.reporting.scoring import score_run

    scores = score_run(run, names)
    missing = [name for name in names if name not in scores.metrics]
    if missing:
        note(f"not applicable to these answers: {', '.join(missing)}")
    return scores


def _every_eval(run: Run, names: tuple[str, ...], given: Mapping[str, Any]) -> str:
    from clara_bench.exchange.every_eval import Evaluator, record

    if not given["organization"] or not given["relationship"]:
        raise ConfigError(
            "every-eval-ever asks who made the run: add --organization NAME and --relationship third_party"
        )
    evaluator = Evaluator(given["organization"], given["relationship"])
    made = record(run, _scores(run, names), evaluator, int(time.time()))
    return json_text({**made, **(_samples(run, made, given["samples"]) if given["samples"] else {})})


def _samples(run: Run, made: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Write the single answers; what the record says of them."""
    from clara_bench.exchange.every_eval_samples import lines, reference
    from clara_bench.io.cache import write_atomic

    content = lines(run, made)
    said = reference(made, content)
    write_atomic(file, content)
    note(f"written: {file}, which belongs at {said['file_path']}")
    return {"detailed_evaluation_results": said}


def _hub(run: Run, given: Mapping[str, Any]) -> str:
    from clara_bench.exchange.hub_results import Place, text

    return text(run, _scores(run), Place(given["dataset"], given["task_id"], given["source_url"]))
