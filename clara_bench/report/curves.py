"""The curves of trainings, from the logs that a training keeps: one line of JSON a step or evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clara_bench.errors import DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode_lines
from clara_bench.report.columns import text
from clara_bench.report.model import Curve

POINTS = 400
"""Of a curve; each is the mean of as many steps as make no more."""
SKIPPED = frozenset({"step", "seconds", "prepare_seconds", "evaluate_seconds", "time"})


@dataclass(frozen=True, slots=True)
class Log:
    """The curves of one training."""

    curves: tuple[Curve, ...]


def logs(folders: Sequence[Path]) -> list[Log]:
    """Every log.jsonl below some folders; a stage before the last has log-STAGE.jsonl.

    Raises:
        DataError: a folder holds no log, or a line of a log is no JSON object.
    """
    for folder in folders:
        if not any(map(_is_log, folder.rglob("log*.jsonl"))):
            raise DataError(f"{folder}: no training log below it. Expected log.jsonl, as a training writes it")
    files = sorted({file for folder in folders for file in folder.rglob("log*.jsonl") if _is_log(file)})
    return [found for file in files if (found := _log(file)).curves]


def _is_log(file: Path) -> bool:
    return file.stem == "log" or file.stem.startswith("log-")


def _log(file: Path) -> Log:
    held = read_bytes(file)
    finished = held[: held.rfind(b"\n") + 1].split(b"\n")
    series: dict[str, list[tuple[float, float]]] = {}
    for _, line in decode_lines(finished, dict[str, Any], str(file), "Remove the log"):
        for name, value in _numbers(line):
            series.setdefault(name, []).append((float(line.get("step", len(series.get(name, ())))), value))
    name = f"{file.parent.name}{file.stem.removeprefix('log')}"
    return Log(tuple(_curve(text(name), text(key), points) for key, points in series.items() if len(points) > 1))


def _numbers(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{name} {inner}", number) for inner, number in _numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in SKIPPED:
            yield name, float(value)


def _curve(training: str, name: str, points: Sequence[tuple[float, float]]) -> Curve:
    width = -(-len(points) // POINTS)
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    steps, values = ([sum(pair[at] for pair in part) / len(part) for part in parts] for at in (0, 1))
    return Curve(training, name, tuple(steps), tuple(values))
