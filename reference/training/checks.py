"""Checks of a stage before anything is loaded, shared by `train` and `plan`."""

from __future__ import annotations

from typing import Any

from clara_bench import BenchError, ConfigError
from reference.data.sources import checked
from reference.objectives.stages import learning_roles, projects
from reference.settings.config import Config, Evaluation
from reference.training import deepspeed
from reference.training.evaluation import check
from reference.weights.initialization import stage_settings, unthinned

TAUGHT = ("pretrain", "instruct")
"""Kinds of stage in which memories are read, and a teacher can read the same documents as text."""


def check_stage(config: Config, name: str, ranks: int = 1) -> None:
    """Refuse a stage that cannot be trained.

    Raises:
        ConfigError: no such stage, a batch that does not divide evenly, nothing to train, impossible rows.
        BenchError: an impossible evaluation.
    """
    settings, memory = stage_settings(config, name), config.model.memory
    try:
        deepspeed.engine_dict(settings, ranks)
        unthinned(settings)
        if not learning_roles(settings, memory) and not projects(settings, memory):
            raise ConfigError("`freeze` leaves nothing that learns")
        if settings.teacher and settings.stage not in TAUGHT:
            raise ConfigError(f"only {' and '.join(TAUGHT)} learn from a `teacher`; leave it out")
        checked(settings.stage, data_options(config, name))
        check(settings, config.evaluation.get(name, Evaluation()))
    except BenchError as error:
        raise ConfigError(f"stage '{name}': {error}") from error


def data_options(config: Config, name: str) -> dict[str, Any]:
    """The options of a stage's rows: the stage's own, or those of its kind."""
    return config.data.get(name, config.data.get(stage_settings(config, name).stage, {}))
