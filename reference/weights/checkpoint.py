"""Checkpoints: one safetensors file per role, one for the memory embeddings, and a manifest.

    manifest.json         schema, settings, backbone, memory slots, checksums, package versions, how it was trained
    compressor.safetensors, reasoner.safetensors, generator.safetensors    adapters (PEFT's names) or full copies
    memory.safetensors    memory embeddings, opening and separator
    tokenizer/            for a backbone from scratch: its tokenizer, and with adapters its weights
    backbone.safetensors

Nothing of a pretrained backbone is saved. A folder is written under another name and renamed when it is complete.
Nothing is unpickled.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from clara_bench import ConfigError, DataError
from clara_bench.io.escaping import shortened
from reference.model import backbone as backbones
from reference.model.backbone import Loaded
from reference.model.clara import Clara
from reference.model.roles import load_state, state
from reference.settings.config import Adapters
from reference.weights.manifest import MANIFEST, Manifest, read_manifest
from reference.weights.tensors import NumberFormat, read, write

VECTORS = "memory.safetensors"
PACKAGES = ("torch", "transformers", "peft", "safetensors", "clara-bench")


def save(
    model: Clara,
    folder: Path,
    training: Mapping[str, Any] | None = None,
    dtype: NumberFormat | None = None,
) -> None:
    """Write a checkpoint, replacing an older one.

    Under ZeRO-3 call it on rank 0 inside `deepspeed.zero.GatheredParameters`.

    Args:
        model: what to save.
        folder: where; its parent must exist.
        training: kept in the manifest.
        dtype: number format in the files; None keeps each tensor's own. Memory embeddings stay float16 in int8.
    """
    scratch = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    scratch.mkdir()
    try:
        files: dict[str, Mapping[str, Tensor]] = {
            f"{name}.safetensors": state(model.role(name)) for name in model.roles
        }
        files[VECTORS] = model.vectors()
        if model.config.backbone.scratch is not None:
            backbones.save_tokenizer(model.tokenizer, scratch / "tokenizer")
            if model.config.adapters.kind == "lora":
                files["backbone.safetensors"] = dict(model.backbone.named_parameters())
        digests = {
            name: write(tensors, scratch / name, "float16" if dtype == "int8" and name == VECTORS else dtype)
            for name, tensors in files.items()
        }
        manifest = _described(model, digests, training or {})
        text = json.dumps(msgspec.to_builtins(manifest), indent=1, ensure_ascii=False)
        (scratch / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _described(model: Clara, digests: dict[str, str], training: Mapping[str, Any]) -> Manifest:
    return Manifest(
        model=model.config,
        backbone=model.backbone_fingerprint,
        slots=model.config.memory.slots,
        roles=tuple(model.roles),
        parameters={name: sum(p.numel() for p in model.role(name).trainable().values()) for name in model.roles},
        sha256=digests,
        packages={name: version(name) for name in PACKAGES},
        training=dict(training),
    )


def _replace(scratch: Path, folder: Path) -> None:
    """Move a finished folder into place; a folder cannot be renamed over a non-empty one."""
    old = scratch.with_name(f"{scratch.name}-old")
    if folder.exists():
        folder.rename(old)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_backbone(folder: Path) -> Loaded:
    """The backbone that a checkpoint's weights belong to: its own from scratch, or the pretrained one that it names.

    Raises:
        ConfigError: see `read_manifest`; or the pretrained backbone's files are not those of training.
        DataError: a file is damaged.
        BackendError: the pretrained backbone cannot be found.
    """
    manifest = read_manifest(folder)
    config = manifest.model.backbone
    if config.model:
        loaded = backbones.load(config)
        _check_backbone(folder, manifest, loaded)
        return loaded
    loaded = backbones.load(config, tokenizer=_tokenizer(folder))
    if "backbone.safetensors" in manifest.sha256:
        _fill(dict(loaded.model.named_parameters()), _read(folder, manifest, "backbone.safetensors"), folder)
    return loaded._replace(fingerprint=manifest.backbone)


def _tokenizer(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # a damaged file makes the libraries raise whatever they stumble over
        said = shortened(" ".join(str(error).split()), 300)
        raise DataError(f"{folder / 'tokenizer'}: no tokenizer can be read: {said}. Copy it again") from error


def load(
    folder: Path,
    roles: Iterable[str] | None = None,
    rate: int | None = None,
    backbone: Loaded | None = None,
) -> Clara:
    """Load the model of a checkpoint, in evaluation mode, on the CPU.

    Args:
        folder: from `save`.
        roles: to load; None for all.
        rate: the required compression rate; None for any.
        backbone: to share one that is loaded already.

    Raises:
        ConfigError: it is another schema, rate or backbone than expected, or has no such role.
        DataError: a file is damaged, or holds other tensors than the settings ask for.
        BackendError: the pretrained backbone cannot be found.
    """
    manifest = read_manifest(folder)
    wanted = tuple(roles) if roles is not None else manifest.roles
    _check_roles(folder, manifest, wanted)
    found = manifest.model.memory.rate
    if rate is not None and rate != found:
        raise ConfigError(f"{folder}: trained at compression rate {found}, {rate} is asked for. Choose another folder")
    backbone = read_backbone(folder) if backbone is None else backbone
    _check_backbone(folder, manifest, backbone)
    model = Clara(backbone, manifest.model, wanted)
    restore(model, folder)
    return model


def restore(
    model: Clara, folder: Path, roles: Iterable[str] | None = None, vectors: bool = True, thin: bool = False
) -> None:
    """Overwrite a model's weights by those of a checkpoint, whose other settings may differ.

    So a text reader's generator starts a compressor of any rate, and a stage starts from the one before.

    Args:
        model: over the checkpoint's backbone, with adapters of the same kind.
        folder: from `save`.
        roles: which; None for all that the model has.
        vectors: memory embeddings, opening and separator too; they must then be as many.
        thin: or more, of which the model takes as many as it has, evenly, and no means.

    Raises:
        ConfigError: another schema or backbone, a role or number of memory vectors that it has not.
        DataError: a file is damaged, or holds other tensors than the model.
    """
    manifest = read_manifest(folder)
    wanted = tuple(roles) if roles is not None else tuple(model.roles)
    _check_roles(folder, manifest, wanted)
    _check_backbone(folder, manifest, Loaded(model.backbone, model.tokenizer, model.backbone_fingerprint))
    theirs, ours = _shape(manifest.model.adapters), _shape(model.config.adapters)
    if theirs != ours:
        raise ConfigError(f"{folder}: its roles are {theirs}, the model's are {ours}. Give the model those settings")
    slots = model.config.memory.slots
    if vectors and (manifest.slots < slots if thin else manifest.slots != slots):
        raise ConfigError(f"{folder}: {manifest.slots} memory vectors a document, the model has {slots}")
    for name in wanted:
        file = f"{name}.safetensors"
        load_state(model.role(name), _read(folder, manifest, file), str(folder / file))
    if vectors:
        tensors, own = _read(folder, manifest, VECTORS), model.vectors()
        if thin:
            tensors["memory"] = tensors["memory"][[(n + 1) * manifest.slots // slots - 1 for n in range(slots)]]
        if thin or model.config.memory.centred != manifest.model.memory.centred:  # one has centres, the other has not
            tensors.pop("centres", None)
            own.pop("centres", None)
        _fill(own, tensors, folder / VECTORS)


def _shape(adapters: Adapters) -> str:
    """The settings that weights depend on."""
    if adapters.kind == "full":
        return "full copies"
    return f"lora of rank {adapters.rank}, alpha {adapters.alpha}, on {adapters.targets}"


def _check_roles(folder: Path, manifest: Manifest, wanted: Iterable[str]) -> None:
    for name in wanted:
        if name not in manifest.roles:
            raise ConfigError(
                f"{folder}: has no role '{name}', only {', '.join(manifest.roles)}. Train that stage first"
            )


def _check_backbone(folder: Path, manifest: Manifest, backbone: Loaded) -> None:
    if backbone.fingerprint != manifest.backbone:
        raise ConfigError(
            f"{folder}: trained over backbone {manifest.backbone}, this one is {backbone.fingerprint}. "
            "Name the revision that it was trained with"
        )


def _read(folder: Path, manifest: Manifest, name: str) -> dict[str, Tensor]:
    return read(folder / name, manifest.sha256.get(name))


def _fill(parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: Path) -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != shapes:
        raise DataError(f"{where}: holds {found}, expected {shapes}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
