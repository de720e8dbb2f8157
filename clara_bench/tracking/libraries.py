"""Trackers that others make. Where their numbers go is set as each of them documents, by its environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from clara_bench.errors import MissingDependency

PROJECT = "clara-bench"
"""The project or experiment that runs appear in, unless the library's own environment variable names another."""


class _Library:
    name: str

    def __init__(self) -> None:
        try:
            self.library: Any = import_module(self.name)
        except ImportError as error:
            raise MissingDependency(f"--log {self.name}", self.name, self.name) from error


class Trackio(_Library):
    """Trackio, on this machine or in a Space."""

    name = "trackio"

    def start(self, name: str, config: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self.library.init(project=PROJECT, name=name, config=dict(config))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self.library.log(dict(numbers), step=step)

    def finish(self) -> None:
        """See `Tracker`."""
        self.library.finish()


class Wandb(_Library):
    """Weights & Biases."""

    name = "wandb"

    def start(self, name: str, config: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self.run = self.library.init(project=_project("WANDB_PROJECT"), name=name, config=dict(config))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self.run.log(dict(numbers), step=step)

    def finish(self) -> None:
        """See `Tracker`."""
        self.run.finish()


class MLflow(_Library):
    """MLflow. It allows no @ in the name of a metric: recall@5 becomes recall_at_5."""

    name = "mlflow"

    def start(self, name: str, config: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self.library.set_experiment(_project("MLFLOW_EXPERIMENT_NAME"))
        self.library.start_run(run_name=name)
        self.library.log_params(dict(config))

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self.library.log_metrics({name.replace("@", "_at_"): value for name, value in numbers.items()}, step=step)

    def finish(self) -> None:
        """See `Tracker`."""
        self.library.end_run()


def _project(variable: str) -> str:
    import os

    return os.environ.get(variable) or PROJECT
