"""LoRA weights in PEFT's format, merged into a language model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from clara_bench.errors import BackendError, MissingDependency
from clara_bench.io.cache import digest, file_digest
from clara_bench.read.models import Model, loading

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Adapter(NamedTuple):
    """An adapter's files on this disk."""

    name: str
    """As the user named it."""
    folder: Path
    fingerprint: str
    """SHA-256 over its files."""


def find_adapter(name: str, revision: str | None = None) -> Adapter:
    """The adapter's files, downloaded from the hub first if need be.

    Args:
        name: folder, or hub id; what exists on disk wins.
        revision: branch, tag or commit on the hub.

    Raises:
        BackendError: nothing is there, or no adapter that can be loaded without unpickling.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _from_hub(name, revision)
    missing = [file for file in (CONFIG, WEIGHTS) if not (folder / file).is_file()]
    if missing:
        raise BackendError(
            f"adapter '{name}' has no {missing[0]}. Expected a folder that PEFT saved with safetensors: "
            f"{CONFIG} and {WEIGHTS}"
        )
    return Adapter(name, folder, f"sha256:{digest(file_digest(folder / file) for file in (CONFIG, WEIGHTS))}")


def _from_hub(name: str, revision: str | None) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise BackendError(f"adapter '{name}': no such folder, and not a hub id (OWNER/NAME). Check the path")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # the hub's client raises its HTTP library's errors, which changed between versions
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BackendError(
            f"adapter '{name}' is not a folder and cannot be downloaded from the hub ({reason}). "
            "Check the name and the network"
        ) from error


def lay_over(weights: Any, adapter: Adapter, base: Model) -> Any:
    """A causal language model with an adapter merged into its weights, in evaluation mode.

    Args:
        weights: the model; it is changed.
        adapter: what `find_adapter` found.
        base: what the weights were loaded from, for messages.

    Raises:
        MissingDependency: PEFT is not installed.
        BackendError: the adapter is damaged, or was made for a model of another shape.
    """
    try:
        from peft import PeftModel
    except ModuleNotFoundError as error:
        raise MissingDependency("option 'adapter'", str(error.name), "hf") from error
    with loading(base, f"adapter '{adapter.name}'"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by names of old
        laid = PeftModel.from_pretrained(weights, str(adapter.folder), is_trainable=False)
        return laid.merge_and_unload(safe_merge=True).eval()
