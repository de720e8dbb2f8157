"""Numbers that others published, each with its source and settings, to be read beside runs and never mixed with them.

    published.toml             sources, tables of them, rows of these; values as printed
    entries(read(path))        one value each, with everything that is known of it

A field that a source does not state is empty here. Nothing is guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from clara_bench import metrics
from clara_bench.errors import BenchError, DataError, UnknownName
from clara_bench.io.parsing import convert, read_toml
from clara_bench.metrics import Metric
from clara_bench.types import Count, Setting

FILE = Path(__file__).with_name("published.toml")
"""The numbers that ship."""
MEAN = "mean"
"""The task of a source's own mean over its tasks."""

Flag = Literal[
    "trained on the task",
    "first reference only",
    "cover metric called accuracy",
    "cover metric called match",
    "copied from another paper",
    "trained again by other authors",
    "second-hand",
]
SCALES: Mapping[str, float] = {"percent": 0.01, "fraction": 1.0, "milliseconds": 0.001}
"""From a table's unit to that of our metrics."""


@dataclass(frozen=True, slots=True)
class Source:
    """A paper, or the page of a program."""

    id: str
    title: str
    url: str
    arxiv: str = ""
    version: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; what it leaves empty is as its table says."""

    id: str
    system: str
    values: tuple[float, ...]
    """As printed, one a column."""
    setting: Setting | None = None
    k: Count | None = None
    depth: Count | None = None
    reader: str = ""
    tuned: bool | None = None
    compressor: str = ""
    rate: str = ""
    """As written: this may be tokens a vector, the share kept or the share removed."""
    vectors: Count | None = None
    """Kept of a passage."""
    flags: tuple[Flag, ...] = ()
    doubts: Mapping[str, str] = field(default_factory=dict)
    """By column, or "rate", or "row" for all of it: why a number should be doubted."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a source."""

    id: str
    source: str
    table: str
    """What the source calls it."""
    unit: Literal["percent", "fraction", "milliseconds"]
    columns: tuple[str, ...]
    """TASK METRIC; - is no task of ours, `mean` the source's own mean."""
    rows: tuple[Row, ...]
    split: str = ""
    n: Mapping[str, Count] = field(default_factory=dict)
    """Questions of each task."""
    corpus: str = ""
    retriever: str = ""
    reader: str = ""
    setting: Setting | None = None
    depth: Count | None = None
    flags: tuple[Flag, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """The whole file."""

    schema: Literal[1]
    source: tuple[Source, ...]
    table: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One published value, with its settings."""

    id: str
    """Of the row; its values of other tasks and metrics have the same."""
    system: str
    source: str
    table: str
    task: str
    metric: str
    value: float
    """In the unit of our metrics: fractions and seconds."""
    written: float
    unit: str
    split: str
    n: int | None
    setting: Setting | None
    k: int | None
    depth: int | None
    corpus: str
    retriever: str
    reader: str
    tuned: bool | None
    compressor: str
    rate: str
    vectors: int | None
    flags: tuple[Flag, ...]
    doubts: tuple[str, ...]

    @property
    def ours(self) -> Metric | None:
        """Our metric of that name; None where we have none."""
        try:
            return metrics.get(self.metric)
        except BenchError:
            return None


def read(path: Path = FILE) -> Registry:
    """The registry in a file.

    Raises:
        DataError: it is not one, an id is there twice, a row has another number of values than its table has columns,
            or a doubt is about nothing.
    """
    mend = "It lies in clara-bench's repository; name it with --from"
    found = convert(read_toml(path, mend, DataError), Registry, str(path))
    for what, ids in (
        ("source", [one.id for one in found.source]),
        ("row or table", [*{one.id for one in found.table}, *(row.id for one in found.table for row in one.rows)]),
    ):
        twice = [id for id, times in Counter(ids).items() if times > 1 and id not in {one.id for one in found.table}]
        if twice:
            raise DataError(f"{path}: the {what} '{twice[0]}' is there twice. Give one of them another id")
    for table in found.table:
        _check(table, {one.id for one in found.source}, str(path))
    return found


def _check(table: Table, sources: Iterable[str], where: str) -> None:
    if table.source not in sources:
        raise DataError(f"{where}: table '{table.id}': {UnknownName('source', table.source, sources)}")
    for column in table.columns:
        if len(column.split(" ", 1)) != 2:
            raise DataError(f"{where}: table '{table.id}': column '{column}', expected TASK METRIC")
    for row in table.rows:
        if len(row.values) != len(table.columns):
            raise DataError(
                f"{where}: row '{row.id}' has {len(row.values)} values. Expected {len(table.columns)}, one a column"
            )
        for about in row.doubts:
            if about not in (*table.columns, "rate", "row"):
                raise DataError(f"{where}: row '{row.id}': a doubt about '{about}'. Expected a column, rate or row")


def entries(found: Registry) -> Iterator[Entry]:
    """Every value, in the order of the file."""
    sources = {one.id: one for one in found.source}
    for table in found.table:
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                yield _entry(sources[table.source], table, row, column, value)


def _entry(source: Source, table: Table, row: Row, column: str, value: float) -> Entry:
    task, metric = column.split(" ", 1)
    return Entry(
        id=row.id,
        system=row.system,
        source=named(source),
        table=table.table,
        task=task,
        metric=metric,
        value=value * SCALES[table.unit],
        written=value,
        unit=table.unit,
        split=table.split,
        n=table.n.get(task),
        setting=row.setting or table.setting,
        k=row.k,
        depth=row.depth or table.depth,
        corpus=table.corpus,
        retriever=table.retriever,
        reader=row.reader or table.reader,
        tuned=row.tuned,
        compressor=row.compressor,
        rate=row.rate,
        vectors=row.vectors,
        flags=(*table.flags, *row.flags),
        doubts=tuple(said for about, said in row.doubts.items() if about in (column, "rate", "row")),
    )


def named(source: Source) -> str:
    """A source as it is cited: its arXiv id, or its address."""
    return f"arXiv {source.arxiv}" if source.arxiv else source.url


def chosen(found: Iterable[Entry], wanted: Mapping[str, str]) -> list[Entry]:
    """Those whose fields hold the words asked for, whatever their case; a task, metric or setting must be that word."""
    return [entry for entry in found if all(_fits(entry, key, word) for key, word in wanted.items())]


def _fits(entry: Entry, key: str, word: str) -> bool:
    held = str(getattr(entry, key) or "").lower()
    return held == word.lower() if key in ("task", "metric", "setting") else word.lower() in held


def of_id(found: Sequence[Entry], id: str) -> list[Entry]:
    """The values of one row.

    Raises:
        UnknownName: no row has that id.
    """
    rows = [entry for entry in found if entry.id == id]
    if not rows:
        raise UnknownName("published row", id, {entry.id for entry in found})
    return rows


def to_builtins(entry: Entry) -> dict[str, Any]:
    """An entry as plain values."""
    return asdict(entry)
