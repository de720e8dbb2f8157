"""Records as a table, one row a question: CSV, parquet, or a table of Hugging Face `datasets`.

`score TASK FILE` reads CSV and parquet back: the answer stands under `prediction`, the ranking under `retrieved`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.errors import DataError, MissingDependency
from clara_bench.io.cache import building, write_atomic
from clara_bench.io.escaping import for_csv_whole
from clara_bench.metrics.statistics import Column
from clara_bench.records.results import Run
from clara_bench.reporting.scored import Scorer
from clara_bench.reporting.scoring import in_order
from clara_bench.types import Example, Record

Row = dict[str, Any]

LISTS = ("gold_answers", "gold_passages", "retrieved")
TEXTS = ("id", "question", "kind", "prediction", "status", "error", "thinking")
COUNTS = ("hops", "context_positions", "context_text_tokens", "prompt_tokens", "generated_tokens")
NUMBERS = ("usd", "seconds")


def rows(run: Run, names: Sequence[str]) -> list[Row]:
    """One row a question: what was asked, what was answered, what it cost, and its value of each metric.

    Raises:
        BenchError: the run cannot be read or scored.
    """
    examples, records = run.answered()
    scorer = run.manifest["task"]["answer_scorer"]
    scored = Scorer()(run, names)
    columns = {name: scored.column(name, scorer) for name in scored.values}
    found = zip(examples, in_order(examples, records), strict=True)
    return [{**_row(*pair), **_values(columns, place)} for place, pair in enumerate(found)]


def _row(example: Example, record: Record | None) -> Row:
    question, gold = example.question, example.gold
    row: Row = dict.fromkeys((*TEXTS, *COUNTS, *NUMBERS))
    asked = {"id": question.id, "question": question.text, "kind": gold.kind, "hops": gold.hops, "status": "missing"}
    lists = {"gold_answers": list(gold.answers), "gold_passages": sorted(gold.supporting), "retrieved": None}
    return {**row, **asked, **lists, **({} if record is None else _answered(record))}


def _answered(record: Record) -> Row:
    answer, usage = record.answer, record.answer.usage
    return {
        "prediction": answer.text,
        "status": answer.status,
        "error": answer.error,
        "thinking": answer.thinking or None,
        "retrieved": None if answer.retrieved is None else [ranked.passage_id for ranked in answer.retrieved],
        "retrieved_scores": None if answer.retrieved is None else [ranked.score for ranked in answer.retrieved],
        **{name: getattr(usage, name) for name in (*COUNTS[1:], "usd")},
        "seconds": record.seconds,
    }


def _values(columns: Mapping[str, Column], place: int) -> Row:
    """The metrics' values; None where one does not apply. One that is a field of the record is there already."""
    fields = {*LISTS, *TEXTS, *COUNTS, *NUMBERS}
    return {
        name: float(column.values[place]) if column.weights[place] else None
        for name, column in columns.items()
        if name not in fields
    }


def to_csv(found: Sequence[Row]) -> str:
    """CSV with lists as JSON; no cell is a formula, and every text is whole."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = list(dict.fromkeys(name for row in found for name in row))
    writer.writerow([for_csv_whole(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in found)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = msgspec.json.encode(value).decode()
    return for_csv_whole(value) if isinstance(value, str) else value


def write_parquet(found: Sequence[Row], path: Path) -> None:
    """A parquet file, whole or not at all.

    Raises:
        MissingDependency: pyarrow is not installed.
        BackendError: the disk cannot be written to.
    """
    table = _arrow(found)  # says what is missing
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_atomic(path, buffer.getvalue())


def write_dataset(found: Sequence[Row], folder: Path) -> None:
    """A folder that `datasets.load_from_disk` reads.

    Raises:
        MissingDependency: datasets is not installed.
        DataError: the folder is there already.
        BackendError: the disk cannot be written to.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDependency("the format datasets", str(error.name), "hub") from error
    if folder.exists():
        raise DataError(f"{folder} is there already. Choose a folder that is not")
    table = datasets.Dataset(_arrow(found))
    datasets.disable_progress_bars()
    with building(folder) as scratch:
        table.save_to_disk(str(scratch))


def _arrow(found: Sequence[Row]) -> Any:
    """An Arrow table whose columns have the same types for every run."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingDependency("the formats parquet and datasets", "pyarrow", "documents") from error
    names = list(dict.fromkeys(name for row in found for name in row))
    kinds = {
        **dict.fromkeys(TEXTS, pyarrow.string()),
        **dict.fromkeys(COUNTS, pyarrow.int64()),
        **dict.fromkeys(LISTS, pyarrow.list_(pyarrow.string())),
        "retrieved_scores": pyarrow.list_(pyarrow.float64()),
    }
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in names])
    return pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in found], schema=schema)
