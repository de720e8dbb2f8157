"""The causal language model behind every role: pretrained, or a small Llama trained from scratch with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clara_bench import ConfigError
from reference.model import attention_init
from reference.settings.config import Backbone, Scratch

END = "<end>"


class Loaded(NamedTuple):
    """A backbone ready for use."""

    model: Any
    """A causal language model of transformers, in evaluation mode, on the CPU."""
    tokenizer: Any
    fingerprint: str
    """Fingerprint of the weights on disk; for a backbone trained from scratch, of its shape and seed."""


def load(config: Backbone, seed: int = 0, tokenizer: Any = None) -> Loaded:
    """The backbone that a config names.

    Args:
        config: where the weights are, or the shape of new ones.
        seed: for weights from scratch.
        tokenizer: for weights from scratch; see `train_tokenizer`.

    Raises:
        ConfigError: neither a model nor a shape is named, or a shape without a tokenizer.
        BackendError: the model cannot be found or loaded.
    """
    if config.model:
        from clara_bench.read import models

        found = models.find(config.model, config.revision)
        dtype = getattr(torch, config.dtype)
        return Loaded(models.load_weights(found, dtype), models.load_tokenizer(found), found.fingerprint)
    if config.scratch is None or tokenizer is None:
        raise ConfigError(
            "backbone: name a model (hub id, folder or GGUF file), or give [model.backbone.scratch] and a tokenizer"
        )
    model = from_scratch(config.scratch, tokenizer, seed)
    return Loaded(model, tokenizer, f"scratch:{config.scratch}:{seed}")


def architecture(shape: Scratch, vocabulary: int, end: int = 0) -> Any:
    """The shape of a small Llama as transformers writes it; `end` is the token that opens, pads and ends."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )


def from_scratch(shape: Scratch, tokenizer: Any, seed: int) -> Any:
    """A small Llama with weights initialised from the seed."""
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(architecture(shape, len(tokenizer), tokenizer.eos_token_id))
        attention_init.begin(model, shape.start, tokenizer("\n", add_special_tokens=False)["input_ids"][-1])
    return model.eval()


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a byte-level BPE tokenizer on these texts, as a fast tokenizer of transformers; <end> opens, pads and ends.

    A word is the same token wherever it stands: one that opens a line is read as if a space stood before it. A name
    in a title would else have other pieces than in a question, and a small model has to learn by heart which are equal.
    Numbers are cut after every second digit (1960 into 19 and 60), so that none consists of pieces hardly met.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True),
            pre_tokenizers.Split(Regex(r"Ġ?\d{1,2}"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer next to the weights that were trained with it."""
    tokenizer.save_pretrained(folder)
