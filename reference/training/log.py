"""Logging during training: a JSONL log, TensorBoard, a line on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from clara_bench import BackendError, MissingDependency
from clara_bench.io.escaping import one_line
from clara_bench.io.opening import read_lines
from clara_bench.io.parsing import decode
from clara_bench.io.terminal import bar

SHOWN = ("loss", "recall@1")


class Record:
    """A run's log, written by one process."""

    def __init__(self, out: Path, name: str, done: int, steps: int, progress: bool) -> None:
        """Open the log after step `done`; later lines of a killed run are dropped, and will be written again.

        Raises:
            MissingDependency: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependency("training", "tensorboard", "reference") from error
        path = out / "log.jsonl"
        _keep(path, done)
        self._log = path.open("a", encoding="utf-8", buffering=1)
        self._board = SummaryWriter(out / "tensorboard", purge_step=done + 1)
        self._bar: Any
        self._task: Any
        self._bar, self._task = _bar(name, done, steps) if progress else (None, None)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Log a training step."""
        self._write({"step": step, **values}, "train", step, values)
        if self._bar is not None:
            shown = "  ".join(f"{key} {values[key]:.3f}" for key in SHOWN if key in values)
            self._bar.update(self._task, completed=step, shown=shown)

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        """Log the results of an evaluation."""
        self._write({"step": step, "evaluation": dict(values)}, "evaluation", step, values)

    def _write(self, line: dict[str, Any], group: str, step: int, values: Mapping[str, float]) -> None:
        try:
            self._log.write(json.dumps(line) + "\n")
        except OSError as error:
            raise BackendError(
                f"{self._log.name}: cannot be written ({error}). Make room; started again, it goes on"
            ) from error
        for key, value in values.items():
            self._board.add_scalar(f"{group}/{key}", value, step)

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._log.close()
        self._board.close()


class _Step(msgspec.Struct):
    step: int


def _keep(path: Path, done: int) -> None:
    """Drop the lines after a step, and an incomplete last line."""
    if not path.exists():
        return
    kept = []
    for line in read_lines(path):
        if not line.endswith(b"\n") or decode(line, _Step, str(path)).step > done:
            break
        kept.append(line)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(b"".join(kept))
    unfinished.replace(path)


def _bar(name: str, done: int, steps: int) -> tuple[Any, Any]:
    from rich.progress import TextColumn, TimeRemainingColumn

    drawn = bar(
        TextColumn("{task.fields[shown]}", markup=False),
        TimeRemainingColumn(),
        refresh_per_second=2,
        disable=not sys.stderr.isatty(),
    )
    drawn.start()
    return drawn, drawn.add_task(one_line(name), total=steps, completed=done, shown="")
