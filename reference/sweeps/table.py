"""The table of a sweep, from the logs of its trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import msgspec

from clara_bench import ConfigError
from clara_bench.io.opening import read_lines
from clara_bench.io.parsing import decode, read_json
from reference.settings.config import Config
from reference.sweeps.cells import Cell, cells

HEAD = [
    "rate", "stage", "estimator", "step", "trainings", "recall@1", "recall@5", "EM", "seconds a step",
    "CPU seconds", "cosine", "AUC",
]  # fmt: skip
SCORES = ("recall@1", "recall@5", "em")


T = TypeVar("T")


class Quality(msgspec.Struct, frozen=True):
    """What a measurement of gradients says; see lens/gradients.py. NaN, which JSON lacks, is None there."""

    cosine: float | None
    auc: float | None


class Line(msgspec.Struct, frozen=True):
    """A line of a training's log."""

    step: int
    seconds: float | None = None
    cpu_seconds: float | None = None
    evaluation: dict[str, float] = {}


def table(config: Config, out: Path) -> list[list[str]]:
    """A row for each estimator and evaluated step: means over the trainings that reached it, and their range.

    Raises:
        BenchError: see `cells`; a damaged log.
    """
    groups: dict[tuple[int, str, str], list[Cell]] = {}
    for cell in cells(config):
        groups.setdefault((cell.rate, cell.stage, cell.estimator), []).append(cell)
    rows: list[list[str]] = []
    for (rate, stage, estimator), group in groups.items():
        start = [str(rate), stage, "start", "0", ""]
        if not any(row[:5] == start for row in rows) and (scores := _read(group[0].start_file(out), dict[str, float])):
            rows.append([*start, *_scores([scores]), "", "", "", ""])
        rows += ([str(rate), stage, estimator, *step] for step in _steps(out, group))
    return rows


def evaluations(cell: Cell, out: Path) -> dict[int, dict[str, float]]:
    """The scores of a training, by step."""
    return {line.step: line.evaluation for line in _log(cell.folder(out) / "log.jsonl") if line.evaluation}


def _read(path: Path, kind: type[T]) -> T | None:
    return read_json(path, kind, "Expected what a sweep wrote", ConfigError) if path.exists() else None


def _steps(out: Path, group: Sequence[Cell]) -> Iterator[list[str]]:
    logs = [_log(cell.folder(out) / "log.jsonl") for cell in group]
    lines = [line for log in logs for line in log]
    same = [_mean([line.seconds for line in lines]), _mean([line.cpu_seconds for line in lines])]
    same += _gradient(group[0], out)
    for step in sorted({line.step for line in lines if line.evaluation}):
        found = [line.evaluation for line in lines if line.step == step and line.evaluation]
        yield [str(step), str(len(found)), *_scores(found), *same]


def _mean(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    return f"{fmean(there):.2f}" if there else ""


def _gradient(cell: Cell, out: Path) -> list[str]:
    """Cosine and AUC of an estimator's gradient at the start."""
    found = _read(cell.gradients_file(out), dict[str, Quality]) or {}
    own = [one for name, one in found.items() if name.partition(",")[0] == cell.estimator]
    values = [own[0].cosine, own[0].auc] if own else [None, None]
    return ["" if value is None else f"{value:.2f}" for value in values]


def _log(path: Path) -> list[Line]:
    if not path.exists():
        return []
    return [decode(line, Line, str(path)) for line in read_lines(path) if line.endswith(b"\n")]


def _scores(found: Sequence[dict[str, float]]) -> list[str]:
    """Mean of each score, and its range over trainings if there are several."""
    return [_cell([scores[name] for scores in found if name in scores]) for name in SCORES]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{fmean(values):.3f}{spread}"
