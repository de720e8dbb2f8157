"""clara-bench throughput: questions a second at each batch size, and operations as torch counts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clara_bench.cli.options import data_options, pairs, source_from
from clara_bench.cli.run import check_setting
from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.io.terminal import json_text

if TYPE_CHECKING:
    from clara_bench.measuring.throughput import Measured
    from clara_bench.reporting.tables import Table

NOTE = (
    "One batch was answered before the clock started, and the device had finished when it was read. A component that "
    "forms batches of its own (reader.batch_size of `hf`) may read fewer questions at once than it is handed."
)


@click.command()
@click.option("-t", "--task", required=True, metavar="TASK", help="Name or TOML file of a task.")
@click.option("-s", "--system", required=True, metavar="SYSTEM", help="Name of a system, or FILE.py:CLASS.")
@click.option("-O", "--option", "options", multiple=True, metavar="KEY=VALUE",
              help="Option of the system, such as k=5 or reader.batch_size=8. Repeatable.")  # fmt: skip
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=(1, 2, 4, 8), show_default=True,
              help="Questions handed over at once. Repeatable.")  # fmt: skip
@click.option("--setting", metavar="SETTING", help="Which passages. Default: the task's own.")
@click.option("--limit", default=64, show_default=True, type=click.IntRange(1), help="Questions that are timed.")
@click.option("--seed", default=0, show_default=True, help="Seed of their sample.")
@click.option("--operations", is_flag=True, help="Count floating-point operations of each part too, by torch.")
@data_options
@table_options
def throughput(
    task: str, system: str, options: tuple[str, ...], batches: tuple[int, ...], kind: str | None, output: Path | None,
    operations: bool, **given: Any,
) -> None:  # fmt: skip
    """Measure questions a second at each batch size.

    Every batch size answers the same questions; nothing is recorded or scored. --operations counts the operations of
    a question in retrieval, compression and reading, whatever the models.

    \b
    Examples:
      clara-bench throughput -t nq -s rag --limit 16 --batch 1 --batch 4
      clara-bench throughput -t nq -s clara -O checkpoint=tiny-8x --setting distractor --operations
    """
    from clara_bench.components.registry import Component
    from clara_bench.io.progress import progress
    from clara_bench.measuring.throughput import measure
    from clara_bench.running.run_config import Request
    from clara_bench.tasks import definitions, sources

    form, loaded = kind or format_of(output), definitions.load(task)
    setting = check_setting(given["setting"] or loaded.default_setting)
    chosen = Component(system, pairs(options, "-O"))
    request = Request(
        task, chosen, setting=setting, source=source_from(given), limit=given["limit"], seed=given["seed"]
    )
    data = sources.load(loaded, request.source)
    with progress("measuring", given["limit"] * (len(set(batches)) + operations), "questions") as advance:
        found = measure(request, data, sorted(set(batches)), operations, advance)
    if form in ("json", "csv"):
        write(json_text(_plain(found)) if form == "json" else _csv(found), output)
    else:
        write_tables(_tables(found, f"{task} · {setting} · {system}"), [NOTE], form, output)


def _tables(found: Measured, title: str) -> list[Table]:
    from clara_bench.reporting.tables import Cell, Group, Table

    lines = [
        (str(one.batch), f"{one.rate:.3g}", f"{1000 / one.rate:.3g}", f"{one.generated / one.seconds:.3g}",
         str(one.questions), str(one.failed))
        for one in found.speeds
    ]  # fmt: skip
    head = ("batch", "questions a second", "ms a question", "tokens written a second", "questions", "failed")
    caption = (f"Device {found.device}, threads {found.threads or 'not known'}.",)
    made = [Table(title, head, (Group("", tuple(tuple(map(Cell, line)) for line in lines)),), caption)]
    if found.operations:
        cells = tuple(Cell(f"{value / 1e6:,.1f}") for value in found.operations.values())
        told = "Operations of a question, millions, as torch counts them"
        made.append(Table(told, ("part", *found.operations), (Group("", ((Cell("operations"), *cells),)),), ()))
    return made


def _plain(found: Measured) -> dict[str, Any]:
    from dataclasses import asdict

    plain = asdict(found)
    return {**plain, "speeds": [{**asdict(one), "questions_per_second": one.rate} for one in found.speeds]}


def _csv(found: Measured) -> str:
    from clara_bench.reporting.formats import csv_text

    head = ["batch", "questions", "failed", "seconds", "generated_tokens", "questions_per_second"]
    rows = [[one.batch, one.questions, one.failed, one.seconds, one.generated, one.rate] for one in found.speeds]
    return csv_text([head, *rows])
