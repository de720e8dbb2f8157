"""Apple's released CLaRa weights, converted to our model.

Their checkpoint holds, as `save_pretrained` of apple/ml-clara (commit 857c3cf) writes it:

    adapters.pth                    {adapter: {tensor name: tensor}} for encoder_adapter, decoder_adapter and, after the
                                    last stage, query_reasoner_adapter; often with both embedding matrices beside them
    decoder_first_last_layers.pth   the input embeddings and the head, grown by <MEM0>.. <AE> <ENC> <SEP>

Every adapter tensor has one place here. Of the grown input embeddings the rows of <MEM*>, <ENC> and <SEP> become our
memory, opening and separator; the rest of both matrices is the backbone's own and never trained.

Shapes: V the backbone's vocabulary, M memory slots, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from clara_bench import ConfigError, DataError
from reference.model.backbone import Loaded
from reference.model.clara import Clara
from reference.model.roles import load_state
from reference.settings.config import ModelConfig, Role

ADAPTERS: dict[str, Role] = {
    "encoder_adapter": "compressor",
    "query_reasoner_adapter": "reasoner",
    "decoder_adapter": "generator",
}
EMBEDDINGS = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
_AFTER_MEMORY = 3
"""Rows behind those of <MEM*>: <AE> (never used), <ENC>, <SEP>."""
_DRIFT = 0.01
"""How far a matrix that was not trained may be from the backbone's, as a share of its norm: weight decay can reach all
input embeddings, since the rows of <MEM*> learn."""


def read_apple(folder: Path, unpickle: bool = False) -> tuple[dict[str, dict[str, Tensor]], Tensor]:
    """Apple's adapters by name, and the grown input embeddings (V + M + 3, H).

    Args:
        folder: holds `adapters.pth` and `decoder_first_last_layers.pth`, or the same as `.safetensors` files, whose
            tensors are then named `encoder_adapter.model.layers.0...` and so on.
        unpickle: read `.pth` files. torch then unpickles tensors and plain containers only, yet they stay pickles.

    Raises:
        ConfigError: there are `.pth` files only and they may not be read.
        DataError: a file is missing or holds something else.
    """
    adapters = _read(folder, "adapters", unpickle)
    if adapters and all(isinstance(value, Tensor) for value in adapters.values()):
        adapters = _nested(adapters)
    ends = _read(folder, "decoder_first_last_layers", unpickle)
    embeddings = {_bare(name): tensor for name, tensor in ends.items()}.get(EMBEDDINGS)
    if not isinstance(embeddings, Tensor):
        raise DataError(f"{folder}: decoder_first_last_layers has no {EMBEDDINGS}, only {', '.join(sorted(ends))}")
    return adapters, embeddings


def _read(folder: Path, stem: str, unpickle: bool) -> dict[str, Any]:
    from safetensors.torch import load_file

    safe, pickled = folder / f"{stem}.safetensors", folder / f"{stem}.pth"
    if not safe.is_file() and not pickled.is_file():
        raise DataError(
            f"{folder}: neither {safe.name} nor {pickled.name}. Expected the folder of one compression rate"
        )
    if not safe.is_file() and not unpickle:
        raise ConfigError(f"{pickled} is a pickle, which can run code when it is read: convert it, or allow it")
    if not safe.is_file() and not is_zipfile(pickled):
        raise DataError(f"{pickled}: not written by torch.save, or cut off. Copy it again")
    try:
        read = load_file(safe) if safe.is_file() else torch.load(pickled, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:  # a damaged pickle makes torch raise whatever it stumbles over
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{safe if safe.is_file() else pickled}: cannot be read: {reason}") from error
    if not isinstance(read, dict):
        raise DataError(f"{pickled}: holds a {type(read).__name__}, expected a dictionary of tensors")
    return read


def _nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    out: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        adapter, _, rest = name.partition(".")
        out.setdefault(adapter, {})[rest] = tensor
    return out


def import_apple(
    adapters: Mapping[str, Mapping[str, Tensor]], embeddings: Tensor, backbone: Loaded, config: ModelConfig
) -> Clara:
    """A model of ours with these weights, in evaluation mode.

    Args:
        adapters: by Apple's names; the query reasoner may be missing (before the last stage).
        embeddings: the grown input embeddings (V + M + 3, H).
        backbone: the one that they were trained over, with its own tokenizer.
        config: rank, alpha and compression rate of the checkpoint.

    Raises:
        ConfigError: the rate is not the checkpoint's, or roles are full copies.
        DataError: an adapter is missing, unknown or idle; a tensor is missing, unexpected, of another shape or not
            finite; or the embeddings are another backbone's.
    """
    if config.adapters.kind != "lora":
        raise ConfigError('Apple\'s weights are adapters: set model.adapters.kind = "lora"')
    _check_names(adapters)
    check_same(EMBEDDINGS, embeddings, backbone.model.get_input_embeddings().weight)
    slots = len(embeddings) - len(backbone.tokenizer) - _AFTER_MEMORY
    if slots != config.memory.slots:
        raise ConfigError(
            f"these weights have {slots} memory tokens ({len(embeddings)} embeddings, {len(backbone.tokenizer)} of "
            f"them the backbone's), the config asks for {config.memory.slots}. Set model.memory.rate"
        )
    model = Clara(backbone, config, [role for name, role in ADAPTERS.items() if name in adapters])
    for name, tensors in adapters.items():
        _check_tensors(name, tensors)
        load_state(model.role(ADAPTERS[name]), _ours(name, tensors), name)
    rows_XH = embeddings[len(backbone.tokenizer) :].float()
    with torch.no_grad():
        model.memory.copy_(rows_XH[:slots])
        model.opening.copy_(rows_XH[slots + 1])
        model.separator.copy_(rows_XH[slots + 2])
    return model


def _check_names(adapters: Mapping[str, Any]) -> None:
    unknown = sorted(adapters.keys() - ADAPTERS)
    if unknown:
        raise DataError(f"unknown adapter '{unknown[0]}'. Expected {', '.join(ADAPTERS)}")
    for name in ("encoder_adapter", "decoder_adapter"):
        if name not in adapters:
            raise DataError(f"no {name}, only {', '.join(sorted(adapters)) or 'nothing'}: the checkpoint is not whole")


def _check_tensors(adapter: str, tensors: Any) -> None:
    """Refuse tensors without an effective adapter: the untuned backbone would answer."""
    table = isinstance(tensors, Mapping) and all(isinstance(name, str) for name in tensors)
    if not table or not all(_is_dense(tensor) for tensor in tensors.values()):
        raise DataError(f"{adapter}: expected a table of dense tensors of real numbers by their names")
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise DataError(f"{adapter}: holds a number that is not finite: the weights are damaged")
    if not any(bool(tensor.any()) for name, tensor in tensors.items() if "lora_B" in name):
        raise DataError(f"{adapter}: every lora_B is zero, so it changes nothing. Expected trained weights")


def _is_dense(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.is_floating_point()


def check_same(where: str, theirs: Tensor, own: Tensor, grows: bool = True) -> None:
    """Refuse a matrix that is not the backbone's; rows of new tokens may follow the backbone's.

    Raises:
        DataError: its shape differs, or its values do.
    """
    known = theirs[: len(own)] if grows and theirs.ndim else theirs
    if known.shape != own.shape:
        raise DataError(f"{where} has shape {tuple(theirs.shape)}, the backbone's has {tuple(own.shape)}")
    own = own.detach().float()
    drift = float((known.float() - own).norm() / own.norm())
    if not drift <= _DRIFT:
        raise DataError(f"{where} is {drift:.3f} from the backbone's: these weights were trained over another one")


def _ours(adapter: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One adapter's tensors under our names; the embedding matrices beside them are left out."""
    named = {_bare(name).replace(f".{adapter}.", "."): tensor for name, tensor in tensors.items()}
    if len(named) != len(tensors):
        raise DataError(f"{adapter}: two tensors have the same name but for its prefix")
    return {f"base_model.model.{name}": tensor for name, tensor in named.items() if name not in (EMBEDDINGS, HEAD)}


def _bare(name: str) -> str:
    return name.removeprefix("base_model.model.")
