"""What a report holds: tables of rows, their comparisons, and where their answers are lost. Plain values for a browser.

Nothing is computed here. Questions and their details are kept apart as columns and chunks, see `questions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clara_bench.analysis.explain import Cause

Family = Literal["full text", "text compressor", "latent compressor", "no passages"]
FAMILIES: tuple[Family, ...] = ("full text", "text compressor", "latent compressor", "no passages")

Verdict = Literal["higher", "lower", "undecided"]

Value = tuple[float | None, float | None, float | None]
"""A mean and the two ends of its 95 % CI."""


@dataclass(frozen=True, slots=True)
class Row:
    """One system in one setting."""

    name: str
    label: str
    what: str
    """What it reads and who reads it, in words."""
    section: int
    family: Family
    metrics: Mapping[str, Value]
    traits: Mapping[str, Any]
    best: tuple[str, ...]
    """Metrics of which no row of the section has a better value."""
    tied: tuple[str, ...]
    """Metrics in which it is tied with the best of its section."""
    pareto: tuple[str, ...]
    """Costs for which it is on the Pareto front of its section."""
    failed: int
    answered: int
    """Questions with an answer, failed ones too; fewer than asked while a run goes on."""
    seeds: int
    path: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that saw the same passages."""

    setting: str
    control: str
    passages: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of a table's rows, each the difference of the later minus the earlier, in the order of `places`."""

    metric: str
    mean: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    p_holm: Sequence[float | None]
    """After Holm over all pairs of the table."""
    family: int


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of a ladder; see `analysis.explain`."""

    name: str
    label: str
    value: float | None
    step: Value
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Where a row's answers are lost."""

    rungs: tuple[Rung, ...]
    causes: Mapping[str, Mapping[str, Mapping[str, int]]]
    """By grouping and group the questions of each cause."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall of a row at one depth, over all questions or those of one number of hops."""

    row: int
    hops: int | None
    depth: int
    value: Value
    questions: int


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When compressing ahead is cheaper than reading text."""

    text: str
    compressed: str
    unit: str
    saved: float
    """For each question."""
    questions: float | None
    """For each passage; None where nothing is saved, or it is not known."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A comparison in words, with the numbers that it is made of."""

    text: str
    verdict: Verdict
    """Better, worse or not to be told apart, whichever direction is better."""
    rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Budget:
    """A row of a Pareto front: what to use from so many context tokens on."""

    row: int
    tokens: float
    over: int | None
    """The cheaper row of the front that it is compared with."""
    gain: Value
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What to use in a section."""

    section: int
    sentence: Sentence | None
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """All rows over one set of questions."""

    task: str
    title: str
    origin: str
    questions: int
    main_metric: str
    readers: tuple[str, ...]
    sections: tuple[Section, ...]
    rows: tuple[Row, ...]
    pairs: Pairs
    lost: Mapping[int, Lost]
    recall: tuple[Recall, ...]
    break_even: tuple[BreakEven, ...]
    choices: tuple[Choice, ...]
    detailed: int
    """Questions that are there with passages and answers."""
    chunks: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One number of a training, by step."""

    training: str
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MetricSaid:
    """What a metric is, as the page shows it."""

    name: str
    head: str
    unit: str
    higher_is_better: bool
    family: str
    description: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything but the questions."""

    title: str
    headline: str
    version: str
    tables: tuple[Table, ...]
    metrics: tuple[MetricSaid, ...]
    causes: Mapping[Cause, str]
    curves: tuple[Curve, ...]
    left_out: tuple[str, ...]
    """Runs that could not be read, and why."""
    notes: Mapping[str, str]


def places(rows: int) -> list[tuple[int, int]]:
    """The pairs of a table with so many rows, in the order that `Pairs` has them.

    >>> places(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return [(first, second) for first in range(rows) for second in range(first + 1, rows)]
