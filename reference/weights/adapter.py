"""A role's LoRA weights in PEFT's format: export, and the checkpoint that a stage starts from.

OUT/adapter_config.json, adapter_model.safetensors     what PEFT loads
OUT/training.json                                      how they came about: stages, settings, evaluations
OUT/log.jsonl                                          the training's log, thinned
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clara_bench import ConfigError
from clara_bench.io.cache import cache_dir, file_digest, write_atomic
from clara_bench.io.parsing import read_json
from reference.model import backbone as backbones
from reference.model.clara import Clara
from reference.model.roles import load_state, lora_config, state
from reference.settings.config import ModelConfig
from reference.weights import checkpoint, tensors
from reference.weights.export import lineage, thinned
from reference.weights.manifest import read_manifest
from reference.weights.tensors import NumberFormat

SETTINGS, WEIGHTS, TRAINING = "adapter_config.json", "adapter_model.safetensors", "training.json"


class _Written(msgspec.Struct, frozen=True):
    """What `training.json` says of an adapter that this package wrote."""

    role: str
    backbone: str
    template: str
    stages: list[dict[str, Any]]


class _Shape(msgspec.Struct, frozen=True):
    """What of PEFT's settings a role is made from."""

    r: int
    lora_alpha: int
    target_modules: str | tuple[str, ...]


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds LoRA weights in PEFT's format."""
    return (folder / SETTINGS).is_file()


def as_checkpoint(folder: Path, like: ModelConfig) -> Path:
    """The checkpoint of an exported adapter, made once, in the cache.

    Args:
        folder: from `write_adapter`.
        like: names the backbone, and has the memory settings of the stage that starts from it.

    Raises:
        ConfigError: no adapter that this package wrote, or one of another backbone.
        DataError: a file is damaged.
        BackendError: the backbone cannot be found.
    """
    made = read_json(folder / TRAINING, _Written, "Expected an adapter from `clara-reference adapter`", ConfigError)
    shape = read_json(folder / SETTINGS, _Shape, "Expected the settings of LoRA weights (PEFT)", ConfigError)
    weights = folder / WEIGHTS
    settings = msgspec.structs.replace(
        like,
        backbone=msgspec.structs.replace(like.backbone, template=made.template),
        adapters=msgspec.structs.replace(
            like.adapters, rank=shape.r, alpha=shape.lora_alpha, targets=shape.target_modules
        ),
    )
    loaded = backbones.load(settings.backbone)
    if loaded.fingerprint != made.backbone:
        raise ConfigError(f"{folder}: trained over backbone {made.backbone}, this one is {loaded.fingerprint}")
    found = tensors.read(weights, file_digest(weights))
    out = cache_dir("adapters") / f"{file_digest(weights)[:16]}-{file_digest(folder / TRAINING)[:16]}"
    if not out.is_dir():
        model = Clara(loaded, settings, [made.role])
        load_state(model.role(made.role), found, str(weights))
        now, *before = made.stages
        checkpoint.save(model, out, {**now, "history": before})
    return out


def write_adapter(source: Path, role: str, out: Path, dtype: NumberFormat = "float16") -> int:
    """Write a role of a checkpoint as a PEFT adapter; returns the size of its weights in bytes.

    Args:
        source: the checkpoint's folder.
        role: compressor, reasoner or generator.
        out: a folder, made if it is not there.
        dtype: number format of the weights; PEFT reads no int8.

    Raises:
        ConfigError: no such checkpoint or role, or the role is no adapter over a pretrained model.
        DataError: a file is damaged.
    """
    manifest = read_manifest(source)
    config = manifest.model
    if config.adapters.kind != "lora" or not config.backbone.model:
        raise ConfigError(f"{source}: its roles are no LoRA adapters over a pretrained model: PEFT could not load them")
    if dtype == "int8":
        raise ConfigError("PEFT reads no int8. Expected float32, bfloat16 or float16")
    model = checkpoint.load(source, [role])
    out.mkdir(parents=True, exist_ok=True)
    peft = lora_config(config.adapters)
    peft.base_model_name_or_path, peft.revision = config.backbone.model, config.backbone.revision
    peft.inference_mode = True
    peft.save_pretrained(str(out))
    tensors.write(state(model.role(role)), out / "adapter_model.safetensors", dtype)
    stages = list(lineage(source))
    training: dict[str, Any] = {"role": role, "backbone": manifest.backbone, "template": config.backbone.template}
    training |= {"packages": manifest.packages, "stages": [dict(stage.training) for stage in stages]}
    write_atomic(out / "training.json", msgspec.json.format(msgspec.json.encode(training), indent=1) + b"\n")
    write_atomic(out / "log.jsonl", thinned(stages[0].log))
    return (out / "adapter_model.safetensors").stat().st_size
