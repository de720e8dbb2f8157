"""Export of a role's LoRA weights in PEFT's format.

OUT/adapter_config.json, adapter_model.safetensors     what PEFT loads
OUT/training.json                                      how they came about: stages, settings, evaluations
OUT/log.jsonl                                          the training's log, thinned
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clara_bench import ConfigError
from clara_bench.io.cache import write_atomic
from reference.model.roles import lora_config, state
from reference.weights import checkpoint, tensors
from reference.weights.export import lineage, thinned
from reference.weights.manifest import read_manifest
from reference.weights.tensors import NumberFormat


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
