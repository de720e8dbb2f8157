"""The initial model of a stage: the backbone or an earlier checkpoint, with the roles it needs.

Weights are reused only if they mean the same: `NEEDS` lists the settings that each role depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from clara_bench import ConfigError
from reference.model import backbone as backbones
from reference.model.clara import Clara
from reference.objectives.stages import LEARNING
from reference.settings.config import RETRIEVING, Config, ModelConfig, TrainConfig
from reference.settings.shipped import start_folder
from reference.weights import adapter, checkpoint
from reference.weights.manifest import read_manifest

NEEDS: dict[str, tuple[str, ...]] = {
    "compressor": (
        "memory.document_tokens",
        "memory.rate",
        "memory.count",
        "memory.positions",
        "memory.form",
        "memory.mask",
        "memory.layers",
        "memory.segment_tokens",
    ),
    "reasoner": ("memory.similarity", "memory.mask", "memory.layers"),
    "generator": ("attention", "backbone.template"),
}
"""Settings of the model that decide what a role's weights mean.

How alike two memories are has no weights, so any compressor and generator may go on under another similarity: it is
the reasoner that learned to be near in one. Prompts in other words, or seen in another way, are new to the generator
alone. What is left out, such as `memory.layout` and dropout, changes no state of a trained model.
"""


def stage_settings(config: Config, name: str) -> TrainConfig:
    """The settings of a stage.

    Raises:
        ConfigError: there is no such stage.
    """
    if name not in config.stages:
        raise ConfigError(f"no stage '{name}' in the config. It has: {', '.join(config.stages) or 'none'}")
    return config.stages[name]


def started(config: Config, name: str) -> Config:
    """The config with the folders of a stage's start and teacher, in the place of their names."""
    settings = stage_settings(config, name)
    folders = {
        role: str(_folder(given, config.model))
        for role, given in (("start", settings.start), ("teacher", settings.teacher))
        if given
    }
    settings = msgspec.structs.replace(settings, **folders)
    return msgspec.structs.replace(config, stages={**config.stages, name: settings})


def _folder(name: str, model: ModelConfig) -> Path:
    """Of the checkpoint of that path or short name; LoRA weights are made one first."""
    folder = start_folder(name)
    return adapter.as_checkpoint(folder, model) if adapter.is_adapter(folder) else folder


def teacher_of(config: Config, name: str, model: Clara) -> Clara | None:
    """The reader of text that teaches a stage's generator; None if it has no teacher.

    Args:
        config: with folders, see `started`.
        name: of the stage.
        model: the one that learns.

    Raises:
        ConfigError: the teacher has another backbone, or its generator another template or attention.
        DataError: a file of the checkpoint is damaged.
    """
    settings = stage_settings(config, name)
    if not settings.teacher:
        return None
    folder = Path(settings.teacher)
    _require_same(folder, read_manifest(folder).model, config.model, ["generator"])
    teacher = checkpoint.load(folder, ["generator"])
    if teacher.backbone_fingerprint != model.backbone_fingerprint:
        raise ConfigError(f"{folder}: the teacher has another backbone or tokenizer than the model that learns from it")
    return teacher.requires_grad_(False)


def begin(config: Config, name: str, tokenizer: Any = None) -> Clara:
    """The model that a stage starts from: its backbone, or the checkpoint that `start` names, with the roles it needs.

    Memory embeddings are reused from a checkpoint that has a compressor; a text reader can start any rate.

    Args:
        config: model and stages.
        name: of the stage.
        tokenizer: for a new backbone trained from scratch.

    Raises:
        ConfigError: no such stage; a checkpoint of another backbone or kind of adapters, or whose roles learned under
            other settings (`NEEDS`).
        DataError: a file of the checkpoint is damaged.
        BackendError: the backbone cannot be found.
    """
    settings, wanted = stage_settings(config, name), config.model.backbone
    if not settings.start:
        loaded = backbones.load(wanted, settings.seed, tokenizer)
        return set_out(Clara(loaded, config.model, (), settings.seed), settings)
    folder = Path(settings.start)
    manifest = read_manifest(folder)
    if not wanted.model and manifest.model.backbone.scratch != wanted.scratch:
        raise ConfigError(f"{folder}: its backbone is {manifest.model.backbone}, the config's is {wanted}")
    roles = [role for role in manifest.roles if role not in _anew(settings)]
    thinned = settings.compressor_start == "thinned"
    _require_same(folder, manifest.model, config.model, roles, ("memory.rate",) if thinned else ())
    loaded = backbones.load(wanted) if wanted.model else checkpoint.read_backbone(folder)
    model = Clara(loaded, config.model, roles, settings.seed)
    checkpoint.restore(model, folder, roles, vectors="compressor" in roles, thin=thinned)
    return set_out(model, settings)


def _anew(settings: TrainConfig) -> set[str]:
    """Roles that are made anew even where the checkpoint has them."""
    asked = {"generator": settings.generator_start == "fresh", "reasoner": settings.reasoner_reset}
    return {role for role, fresh in asked.items() if fresh}


def _require_same(
    folder: Path, theirs: ModelConfig, ours: ModelConfig, roles: Sequence[str], but: Sequence[str] = ()
) -> None:
    for role in roles:
        for setting in [setting for setting in NEEDS.get(role, ()) if setting not in but]:
            found, wanted = attrgetter(setting)(theirs), attrgetter(setting)(ours)
            if found != wanted:
                raise ConfigError(
                    f"{folder}: its {role} was trained with model.{setting} = {found!r}, the config says {wanted!r}. "
                    f"Set model.{setting} to {found!r}, or start from another checkpoint"
                )


def set_out(model: Clara, config: TrainConfig) -> Clara:
    """Add the roles that the stage needs to a model.

    The compressor starts as the generator if that has learned to read text, the reasoner as the compressor
    (`reasoner_start`), and the generator anew if so asked (`generator_start`).

    Raises:
        ConfigError: the stage builds on a role that only an earlier stage can train, or would leave a thinned
            compressor as it is.
    """
    unthinned(config)
    if config.generator_start == "fresh" or "generator" not in model.roles:
        model.add_role("generator", seed=config.seed)
    if config.stage in RETRIEVING and "compressor" not in model.roles:
        raise ConfigError(f"stage '{config.stage}' needs a trained compressor: set `start` to a checkpoint with one")
    if config.stage != "text" and "compressor" not in model.roles:
        model.add_role("compressor", like="generator")
    if config.stage in RETRIEVING and "reasoner" not in model.roles:
        like = "compressor" if config.reasoner_start == "compressor" else None
        model.add_role("reasoner", like=like, seed=config.seed)
    return model


def unthinned(config: TrainConfig) -> None:
    """Refuse a stage that does not train a thinned compressor.

    Raises:
        ConfigError: the stage trains no compressor.
    """
    if config.compressor_start == "thinned" and "compressor" not in LEARNING[config.stage]:
        raise ConfigError(f"stage '{config.stage}' trains no compressor, so that it cannot begin from a thinned one")
