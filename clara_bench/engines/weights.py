"""A language model as a folder that other engines load: safetensors, config and tokenizer; adapters merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clara_bench.errors import BackendError
from clara_bench.io.cache import building, cache_dir, digest
from clara_bench.io.quiet import without_bars
from clara_bench.read.adapters import Adapter, lay_over
from clara_bench.read.models import Model, load_tokenizer, load_weights


def folder_of(model: Model, adapter: Adapter | None = None, code: bool = False) -> Path:
    """The model's own folder or, with an adapter, one in the cache with the merged weights in float32.

    Raises:
        BackendError: a GGUF file too large to be unpacked, or an adapter that does not fit.
    """
    if model.gguf_file is not None:
        raise BackendError(f"model '{model.name}' is a large GGUF file. Expected a folder or hub id with safetensors")
    if adapter is None:
        return model.folder
    import torch

    out = cache_dir("models") / f"merged-{digest([model.fingerprint, adapter.fingerprint])[:24]}"
    if not out.is_dir():
        write(lay_over(load_weights(model, torch.float32, code), adapter, model), load_tokenizer(model, code), out)
    return out


def write(weights: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model of transformers with its tokenizer into a new folder."""
    with building(folder) as scratch, without_bars():
        weights.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
