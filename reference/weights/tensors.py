"""Files of weights: tensors by name in safetensors, in a number format of choice, and their SHA-256.

In int8 a matrix is stored as integers, with one scale per row (symmetric, to the row's largest value); in
the file it is followed by `<name>.int8_scale`. What has one dimension only, such as the weights of norms, is float16.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from clara_bench import DataError

NumberFormat = Literal["float32", "bfloat16", "float16", "int8"]
_SCALE = ".int8_scale"
_LARGEST = 127


def write(tensors: Mapping[str, Tensor], path: Path, dtype: NumberFormat | None = None) -> str:
    """Write tensors; returns the file's SHA-256.

    Args:
        tensors: by name.
        path: of the file.
        dtype: None keeps each tensor's own.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    save_file(_in_rows(plain) if dtype == "int8" else _as(plain, dtype), path)
    return digest(path)


def read(path: Path, sha256: str | None) -> dict[str, Tensor]:
    """The tensors in a file, those in int8 as float32.

    Raises:
        DataError: there is no such file, it is not the one with this SHA-256, or a number in it is none.
    """
    try:
        if digest(path) != sha256:
            raise DataError(f"{path}: damaged: its SHA-256 is not the one in its manifest. Copy it again")
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    scales = {name.removesuffix(_SCALE): tensors.pop(name) for name in list(tensors) if name.endswith(_SCALE)}
    if scales.keys() - tensors.keys():
        raise DataError(f"{path}: a scale without its tensor: '{min(scales.keys() - tensors.keys())}'. Copy it again")
    whole = tensors | {name: tensors[name].float() * scale for name, scale in scales.items()}
    for name, tensor in whole.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"{path}: tensor '{name}' holds a number that is not finite. Copy it, or train again")
    return whole


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as(tensors: Mapping[str, Tensor], dtype: str | None) -> dict[str, Tensor]:
    to = getattr(torch, dtype) if dtype else None
    return {name: tensor.to(to) for name, tensor in tensors.items()}


def _in_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Quantise matrices (R, C) to integers (R, C) and scales (R, 1)."""
    stored = {}
    for name, tensor in tensors.items():
        if tensor.dim() < 2:
            stored[name] = tensor.to(torch.float16)
            continue
        rows = tensor.float()
        scale = rows.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
        stored[name] = (rows / scale).round().to(torch.int8)
        stored[name + _SCALE] = scale
    return stored
