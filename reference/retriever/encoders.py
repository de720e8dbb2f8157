"""What a dense retriever starts from: a sentence encoder, or the text reader of a checkpoint with mean pooling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clara_bench import BackendError
from clara_bench.retrieve.encoder import load_model
from reference.settings.shipped import checkpoint_folder, checkpoints
from reference.weights import checkpoint
from reference.weights.manifest import MANIFEST


def starting(name: str, scratch: Path, device: str | None) -> Any:
    """The `SentenceTransformer` that a name stands for.

    Args:
        name: hub id or folder of a sentence encoder, or a checkpoint: its folder, or the name of one that ships.
        scratch: an empty folder for what the library has to read from disk.
        device: where the model runs; None for a GPU where there is one.

    Raises:
        BackendError: neither is there, or it does not load.
        ConfigError: the checkpoint has no text reader that is a full copy.
    """
    from sentence_transformers import SentenceTransformer

    if name in checkpoints() or (Path(name) / MANIFEST).is_file():
        return _reader(checkpoint_folder(name), scratch, device)
    return load_model(SentenceTransformer, name, device)


def _reader(folder: Path, scratch: Path, device: str | None) -> Any:
    """The generator of a checkpoint without its output layer: a text's vector is the mean of its final states."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    held = checkpoint.load(folder, ["generator"])
    lm = held.role("generator").lm
    if not hasattr(lm, "model"):
        raise BackendError(f"{folder}: its generator is no full copy of a backbone. Expected one such as tiny-text")
    lm.model.save_pretrained(scratch)
    held.tokenizer.save_pretrained(scratch)
    body = modules.Transformer(str(scratch), max_seq_length=held.config.memory.document_tokens)
    pooling = modules.Pooling(body.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[body, pooling, modules.Normalize()], device=device)
