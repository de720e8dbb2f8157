"""Floating-point operations of a transformer, decoder or encoder, from the shape of its weights.

Two operations for each multiplication with an addition. Matrix multiplications and attention are counted, as torch's
`FlopCounterMode` counts them: attention over all positions, those that a causal mask hides included. Norms,
activations, rotations and look-ups are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clara_bench.errors import ConfigError

GATED = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "phi3", "olmo2", "granite"})
"""Model types whose feed-forward layers have a gate."""
ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet"})
"""Model types that read a text at once; give their `forward` no logits. A pooler is left out: it reads one position."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that operations depend on."""

    layers: int
    width: int
    attention: int
    """Heads times their size."""
    key_values: int
    """Heads of keys times their size."""
    inner: int
    """Width of the feed-forward layers."""
    vocabulary: int
    gated: bool = True
    """Whether a feed-forward layer multiplies three matrices, and not two."""

    def forward(self, new: float, past: float = 0.0, logits: float = 1.0) -> float:
        """Operations of one pass.

        Args:
            new: positions that are read.
            past: positions whose keys and values are kept already.
            logits: positions of which the next token is computed.

        >>> Shape(1, 2, 2, 2, 4, 10, gated=False).forward(1)
        112.0
        """
        projections = self.width * (2 * self.attention + 2 * self.key_values)
        layer = 2 * new * (projections + self.width * self.inner * (3 if self.gated else 2))
        layer += 4 * new * (past + new) * self.attention
        return float(self.layers * layer + 2 * logits * self.width * self.vocabulary)

    def decode(self, prompt: float, generated: float) -> float:
        """Operations of the tokens after the first, one at a time with kept keys and values."""
        steps = max(0.0, generated - 1)
        return steps * self.forward(1, prompt + (steps - 1) / 2)  # linear in what is kept, so the middle is the mean


def from_config(config: Mapping[str, Any], where: str) -> Shape:
    """The shape that a model's config.json tells.

    Raises:
        ConfigError: of a kind whose operations are not known, or a size is missing.
    """
    kind = config.get("model_type")
    try:
        if kind == "gpt2":
            width = int(config["n_embd"])
            inner = int(config.get("n_inner") or 4 * width)
            return Shape(int(config["n_layer"]), width, width, width, inner, int(config["vocab_size"]), gated=False)
        if kind in ENCODERS:
            width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
            layers, words = int(config["num_hidden_layers"]), int(config["vocab_size"])
            return Shape(layers, width, width, width, inner, words, gated=False)
        if kind in GATED:
            heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
            size = int(config.get("head_dim") or width // heads)
            kept = size * int(config.get("num_key_value_heads") or heads)
            layers, inner = int(config["num_hidden_layers"]), int(config["intermediate_size"])
            return Shape(layers, width, size * heads, kept, inner, int(config["vocab_size"]))
    except KeyError as error:
        raise ConfigError(f"{where}: {error} is missing. Give the config.json of a model") from error
    known = ", ".join(sorted({"gpt2", *GATED, *ENCODERS}))
    raise ConfigError(f"{where}: model_type '{kind}' is none whose operations are known: {known}")


SCRATCH = re.compile(r"Scratch\((.*)\)")


def from_scratch(backbone: str) -> Shape | None:
    """The shape of a Llama trained from scratch, from what a manifest calls its backbone; None for any other.

    >>> from_scratch("scratch:Scratch(hidden_size=128, intermediate_size=384, layers=4, vocabulary=3072)").inner
    384
    """
    found = SCRATCH.search(backbone)
    if found is None:
        return None
    sizes = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", found[1])}
    width = sizes["hidden_size"]
    return Shape(sizes["layers"], width, width, width, sizes["intermediate_size"], sizes["vocabulary"])
