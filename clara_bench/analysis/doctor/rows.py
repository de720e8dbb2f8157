"""Checks of runs beside each other and beside chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clara_bench.analysis.chance import COIN, FREQUENT, RELATION, Chance
from clara_bench.analysis.doctor.findings import Answered, Finding
from clara_bench.metrics.statistics import Summary
from clara_bench.records.results import Run
from clara_bench.records.trainings import base
from clara_bench.reporting.scoring import score_run


def beside_chance(run: Answered, chance: Chance) -> Iterator[Finding]:
    """A control above chance, or a system that is not."""
    em = score_run(run.run, ["em"]).metrics.get("em")
    lines = {guess.label: guess.metrics.get("em", 0.0) for guess in chance.lines(run.run, ["em"])}
    if em is None or em.mean is None or not lines:
        return
    finding = _control(run, em, lines) if run.control else _system(run, em.mean, lines)
    if finding is not None:
        yield finding


def _control(run: Answered, em: Summary, lines: Mapping[str, float]) -> Finding | None:
    """Under `random` the gold passages may be drawn, so that the reader of random passages is what chance is."""
    known = [
        lines[label] for label in (COIN, FREQUENT, *([RELATION] if run.control == "random" else [])) if label in lines
    ]
    least, chance = (em.ci95 or (em.mean or 0.0,))[0], max(known)
    if least <= chance:
        return None
    return Finding(
        "control-above-chance", run.asked.where,
        f"under control {run.control} EM is {em.mean:.1%} (95 % CI from {least:.1%}), and chance is {chance:.1%}",
        "Part of the score needs no or little evidence. Show this row beside the system's",
    )  # fmt: skip


def _system(run: Answered, em: float, lines: Mapping[str, float]) -> Finding | None:
    label = max(lines, key=lambda one: lines[one])
    if em > lines[label]:
        return None
    guess = label.removeprefix("chance: ")
    return Finding(
        "chance-above-system", run.asked.where, f"EM is {em:.1%}, and {guess} gets {lines[label]:.1%}",
        "The score does not show that the right passage is used. See clara-bench leaderboard --chance --by two-way",
    )  # fmt: skip


def one_training(runs: Sequence[Answered]) -> Iterator[Finding]:
    """Trained systems of which there is one training, and readers that draw their answers without a seed."""
    systems: dict[tuple[str, ...], list[Answered]] = {}
    for one in runs:
        if one.run.manifest["traits"].get("weights") == "ours" and not one.control:
            systems.setdefault(_without_seed(one.run), []).append(one)
    for trainings in systems.values():
        if len(trainings) == 1:
            yield Finding(
                "one-training", trainings[0].asked.where, "one training of these weights is among the runs",
                "A claim about the method needs several: run others with labels that end in -seed1, -seed2",
            )  # fmt: skip
    for one in runs:
        for place in _unseeded(one.run.manifest["system"]["options"], ""):
            yield Finding(
                "no-seed", one.asked.where, f"{place}temperature is above 0 and there is no seed",
                "Answers differ from run to run. Set the seed, or temperature to 0",
            )  # fmt: skip


def _without_seed(run: Run) -> tuple[str, ...]:
    """What several trainings of one system share."""
    manifest = run.manifest
    place = (manifest["setting"], manifest["candidates"]["hash"], base(manifest["system"]["label"]))
    return (manifest["task"]["name"], manifest["questions"]["hash"], *place)


def _unseeded(options: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Prefixes of the components that draw at random without a seed."""
    heat = options.get("temperature")
    if isinstance(heat, int | float) and heat > 0 and options.get("seed") is None:
        yield prefix
    for name, value in options.items():
        inner = value.get("options") if isinstance(value, Mapping) else None
        if isinstance(inner, Mapping):
            yield from _unseeded(inner, f"{prefix}{name}.")
