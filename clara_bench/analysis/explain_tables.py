"""Explanations as tables and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from clara_bench import metrics
from clara_bench.analysis.explain import CAUSES, MEANINGS, Cause, Explained, Fate, Rung
from clara_bench.metrics import Metric
from clara_bench.reporting import captions
from clara_bench.reporting.formats import csv_text, p_cell, plain, signed
from clara_bench.reporting.tables import Cell, Group, Table

LADDER = ("evidence", "value", "step", "95 % CI", "p Holm", "run")
MISSING = {
    "closed-book": "--setting closed",
    "candidates": "--control random",
    "gold": "--setting gold",
    "gold uncompressed": "a system without compressor and --setting gold",
}
"""What makes the run of a rung."""


def tables(found: Sequence[Explained]) -> list[Table]:
    """For each run its ladder, and its questions by cause."""
    return [table for one in found for table in (_ladder(one), _causes(one))]


def notes(found: Sequence[Explained]) -> tuple[str, ...]:
    """What is said once, below all tables."""
    there = {fate.cause for one in found for fate in one.fates}
    meanings = "; ".join(f"{cause}: {said}" for cause, said in MEANINGS.items() if cause in there)
    steps = sum(rung.step is not None for one in found for rung in one.rungs)
    return (
        f"Step: minus the row above that has a run, paired; bold where p is below 0.05 after Holm over the {steps} "
        "steps shown here.",
        f"Causes: percent of the questions of a row, right ones included. {meanings}.",
    )


def _title(one: Explained) -> str:
    manifest = one.run.manifest
    origin = captions.source(manifest["data"]["provenance"])
    label, setting = manifest["system"]["label"], manifest["setting"]
    return f"{label} ({setting}) · {manifest['task']['name']} · {origin} · {manifest['questions']['count']} questions"


def _ladder(one: Explained) -> Table:
    metric = metrics.get(one.metric)
    rows = tuple(tuple(_rung(metric, rung)) for rung in one.rungs)
    missing = [f"{rung.name} ({MISSING[rung.name]})" for rung in one.rungs if rung.run is None and rung.name in MISSING]
    told = (f"No run in the folder for: {', '.join(missing)}.",) if missing else ()
    return Table(_title(one), LADDER, (Group(f"{metric.name} by evidence", rows),), told)


def _rung(metric: Metric, rung: Rung) -> Iterator[Cell]:
    step, verdict = rung.step, rung.verdict
    yield Cell(rung.name)
    yield Cell(plain(metric, rung.value))
    mean = None if step is None else step.mean
    yield Cell(signed(metric, mean, rung.value), best=verdict is not None and verdict.verdict != "undecided")
    ends = None if step is None else step.ci95
    yield Cell("–" if ends is None else " to ".join(signed(metric, end, rung.value) for end in ends))
    yield Cell(p_cell(None if verdict is None else verdict.p_holm))
    yield Cell("–" if rung.run is None else rung.run.manifest["system"]["label"])


def groups(fates: Sequence[Fate]) -> dict[str, dict[str, list[Fate]]]:
    """The scored questions: all of them, by hop count and by kind; ways that tell nothing apart are left out."""
    scored = [fate for fate in fates if fate.cause != "unscored"]
    found: dict[str, dict[str, list[Fate]]] = {"all questions": {"all": scored}}
    for name, values in (
        ("by hop count", {f"{fate.hops} hops": fate.hops for fate in scored if fate.hops is not None}),
        ("by kind", {fate.kind: fate.kind for fate in scored if fate.kind is not None}),
    ):
        if len(values) > 1:
            found[name] = {
                str(said): [fate for fate in scored if value in (fate.hops, fate.kind)]
                for said, value in sorted(values.items(), key=lambda pair: str(pair[0]))
            }
    return found


def _causes(one: Explained) -> Table:
    there = [cause for cause in CAUSES if any(fate.cause == cause for fate in one.fates)]
    shown = tuple(
        Group(name, tuple(_row(said, fates, there) for said, fates in rows.items()))
        for name, rows in groups(one.fates).items()
    )
    unscored = sum(fate.cause == "unscored" for fate in one.fates)
    told = (f"{unscored} questions have no answer to be right about and are left out.",) if unscored else ()
    return Table("Where its answers are lost", ("questions", "n", *there), shown, told)


def _row(said: str, fates: Sequence[Fate], causes: Sequence[Cause]) -> tuple[Cell, ...]:
    counts = Counter(fate.cause for fate in fates)
    shares = [Cell(f"{100 * counts[cause] / len(fates):.1f}") for cause in causes]
    return (Cell(said), Cell(str(len(fates))), *shares)


def to_builtins(found: Sequence[Explained]) -> list[dict[str, Any]]:
    """Ladders, counts by cause, and the fate of each question."""
    return [
        {
            "run": str(one.run.path),
            "metric": one.metric,
            "ladder": [_plain(rung) for rung in one.rungs],
            "causes": {
                name: {said: dict(Counter(fate.cause for fate in fates)) for said, fates in rows.items()}
                for name, rows in groups(one.fates).items()
            },
            "questions": {fate.id: fate.cause for fate in one.fates},
        }
        for one in found
    ]


def _plain(rung: Rung) -> Mapping[str, Any]:
    return {
        "rung": rung.name,
        "run": None if rung.run is None else str(rung.run.path),
        "value": rung.value,
        "step": None if rung.step is None else msgspec.to_builtins(rung.step),
        "verdict": None if rung.verdict is None else msgspec.to_builtins(rung.verdict),
    }


def to_csv(found: Sequence[Explained]) -> str:
    """One line a question: how it ended."""
    head = ["task", "system", "question", "cause", "hops", "kind"]
    return csv_text([head, *(row for one in found for row in _csv_rows(one))])


def _csv_rows(one: Explained) -> Iterator[list[Any]]:
    manifest = one.run.manifest
    for fate in one.fates:
        yield [manifest["task"]["name"], manifest["system"]["label"], fate.id, fate.cause, fate.hops, fate.kind]
