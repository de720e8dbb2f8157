"""The causal language model under every role: a pretrained one, or a small Llama from scratch with its tokenizer.

What a small model finds hard is to match names: it takes the right fact of the wrong passage (LOG.md). Its attention
therefore starts with structure. `identity`: projections near the identity, so that heads begin by matching a token with
its equals (mimetic initialisation; Trockman and Kolter, ICML 2023). `looking-back`: besides, the first layer's heads
begin by gathering what stands a few places before, and the second layer's by matching what the first one gathered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clara_bench import ConfigError
from reference.config import Backbone, Scratch

END = "<end>"


class Loaded(NamedTuple):
    """A backbone ready for use."""

    model: Any
    """A causal language model of transformers, in evaluation mode, on the CPU."""
    tokenizer: Any
    fingerprint: str
    """Of the weights on disk; for a backbone from scratch, of its shape and seed."""


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
    model = from_scratch(config.scratch, len(tokenizer), tokenizer.eos_token_id, seed)
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


def from_scratch(shape: Scratch, vocabulary: int, end: int, seed: int) -> Any:
    """A small Llama with new weights; the seed decides them."""
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(architecture(shape, vocabulary, end))
        _START[shape.start](model)
    return model.eval()


class Glance(NamedTuple):
    """Where a head of the first layer looks in the beginning."""

    back: int
    """Places before the token, where its attention is highest."""
    sharpness: float
    """Logit there, above that of places far away."""
    width: int
    """Rotary pairs that turn faster than one radian in so many places are left out, so that it sees no finer."""


GLANCES = (Glance(1, 12, 1), Glance(2, 12, 1), Glance(5, 4, 6), Glance(25, 3, 30))
"""Names have two or three pieces, a clause about ten tokens, a passage about fifty; more heads go round again."""
SHARED = 4.0
"""Size of the embedding coordinate that all tokens share, in standard deviations of the others."""


def _plain(model: Any) -> None:
    """Nothing but what the library drew."""


@torch.no_grad()
def _near_identity(model: Any, spread: float = 0.05, first: int = 0) -> None:
    """Attention from layer `first` on near the identity."""
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=spread)
    mixes = {"q_proj": (0.7, 0.7), "k_proj": (0.7, 0.7), "v_proj": (0.5, 0.7), "o_proj": (0.5, 0.35)}
    for layer in model.model.layers[first:]:
        for name, (noise, identity) in mixes.items():
            weight = getattr(layer.self_attn, name).weight
            weight.copy_(_noise(weight, noise) + identity * torch.eye(len(weight)))


@torch.no_grad()
def _looking_back(model: Any) -> None:
    """The first layer writes what it sees to a subspace by which the second one matches; the others near the identity.

    One coordinate of the embeddings is the same for all tokens. Rotary positions turn it, in queries and keys, into a
    score that depends on distance alone: a sum of cosines with its peak at the wanted one.
    """
    spread, config = 0.08, model.config
    _near_identity(model, spread, first=2)
    embeddings_VH = model.get_input_embeddings().weight
    embeddings_VH[:, 0] = SHARED * spread
    heads = config.num_attention_heads
    rows = config.hidden_size // heads
    seen_RH, written_RH = _subspace(rows, config.hidden_size), _subspace(rows, config.hidden_size)
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        getattr(first, name).weight.copy_(_noise(getattr(first, name).weight, 0.09))
    for head in range(heads):
        place = slice(head * rows, (head + 1) * rows)
        first.q_proj.weight[place, 0], first.k_proj.weight[place, 0] = _glance(
            GLANCES[head % len(GLANCES)], rows, config
        )
        first.v_proj.weight[place] += seen_RH
        first.o_proj.weight[:, place] += written_RH.T
    for name in ("q_proj", "k_proj"):
        weight = getattr(second, name).weight
        weight.copy_(_noise(weight, 0.09) + written_RH.repeat(heads, 1))
    for name, identity in (("v_proj", 0.7), ("o_proj", 0.5)):
        weight = getattr(second, name).weight
        weight.copy_(_noise(weight, 0.3) + identity * torch.eye(len(weight)))
    for layer in model.model.layers:  # what layers add is to be no larger than the embeddings that they add it to
        layer.self_attn.o_proj.weight.mul_(spread / 0.3)
        layer.mlp.down_proj.weight.mul_(spread / 0.3)


def _glance(glance: Glance, rows: int, config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of query and key for the shared coordinate, so that attention peaks `back` places before."""
    base = float(config.rope_parameters["rope_theta"])
    turns_P = base ** (-torch.arange(0, rows, 2) / rows)  # radians a place of each rotary pair
    used_P = (turns_P * glance.width <= 1.01).float()
    shared = SHARED / math.sqrt((config.hidden_size - 1 + SHARED**2) / config.hidden_size)  # after normalisation
    size = math.sqrt(glance.sharpness * math.sqrt(rows) / float(used_P.sum())) / shared
    angles_P = turns_P * glance.back
    query_R = torch.cat([used_P, torch.zeros_like(used_P)]) * size
    key_R = torch.cat([used_P * angles_P.cos(), used_P * angles_P.sin()]) * size
    return query_R, key_R


def _subspace(rows: int, width: int) -> torch.Tensor:
    """Orthonormal rows (rows, width) that leave the shared coordinate out."""
    basis = torch.linalg.qr(torch.randn(width, rows))[0].T.contiguous()
    basis[:, 0] = 0.0
    return basis


def _noise(like: torch.Tensor, size: float) -> torch.Tensor:
    return size * torch.randn_like(like) / math.sqrt(like.shape[1])


_START = {"plain": _plain, "identity": _near_identity, "looking-back": _looking_back}


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer over these texts, as a fast tokenizer of transformers; <end> opens, pads and ends."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
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
    """Write the tokenizer beside weights that were trained with it."""
    tokenizer.save_pretrained(folder)
