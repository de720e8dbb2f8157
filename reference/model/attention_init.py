"""Attention initialisation of a small backbone trained from scratch.

A small model has difficulty matching names: it takes the right fact from the wrong passage (LOG.md). Two
initialisations give its attention structure. `identity`: projections near the identity, so that heads begin by
matching a token with its equals (mimetic initialisation; Trockman and Kolter, ICML 2023). `lexical`: the first three
layers begin as what BM25 computes, a match of a question's rare words with a passage's title and words nearby:

    layer 1   heads look back one place, two, about four, and over a clause, there at rare words above all;
              all write what they see to one subspace
    layer 2   one head looks at the line break that ends a title, and writes to a second subspace what layer 1 saw there
    layer 3   heads match the first subspace of the token that looks with both of what it looks at

Nothing is frozen.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clara_bench import ConfigError

SPREAD = 0.08
"""Standard deviation of embeddings."""
MARK = 4.0
"""Size of a mark, a coordinate of the embeddings kept for one purpose, in standard deviations of the others."""
SHARED, TITLE_END, RARE = 0, 1, 2
"""The marks: the same for every token; of the line break alone; the larger the rarer a token is."""
FREQUENT = 500
"""Merges of a byte-pair tokenizer come in the order of frequency; the first so many tokens are not rare at all."""


class Glance(NamedTuple):
    """The initial attention pattern of a head in the first layer."""

    back: int
    """Number of places before the token where its attention is highest."""
    sharpness: float
    """Logit there, above that of places far away."""
    slowest: float
    """Of the rotary pairs used, in radians a place: the width of its window."""
    fastest: float
    rarity: float = 0.0
    """What the rarest token gains in its logit."""


GLANCES = (Glance(1, 16, 0.1, 1), Glance(2, 16, 0.1, 1), Glance(4, 14, 0.1, 0.4), Glance(7, 14, 0.05, 0.11, 12))
"""Names have two or three pieces, a clause about ten tokens, a question about fourteen; more heads go round again."""
TO_TITLE_END = 8.0
"""Logit of the line break in the second layer, above that of any other token, had the first layer written nothing."""
REACH = 60
"""The third layer matches with rotary pairs that turn less than one radian in so many places."""


def begin(model: Any, start: str, line_break: int) -> None:
    """Initialise the attention of a new Llama, in place.

    Args:
        model: as initialised by the library.
        start: plain (unchanged), identity or lexical.
        line_break: token that ends a title.

    Raises:
        ConfigError: a lexical start of fewer than 3 layers or 3 heads.
    """
    config = model.config
    if start == "lexical" and min(config.num_hidden_layers, config.num_attention_heads) < 3:
        raise ConfigError(
            f"model.backbone.scratch: start 'lexical' needs at least 3 layers and 3 heads, not "
            f'{config.num_hidden_layers} and {config.num_attention_heads}; or set start = "identity"'
        )
    with torch.no_grad():
        if start == "identity":
            torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.05)
            _near_identity(model.model.layers)
        elif start == "lexical":
            _lexical(model, line_break)


def _near_identity(layers: Any) -> None:
    for layer in layers:
        _draw(layer.self_attn, queries=(0.7, 0.7), values=(0.5, 0.7), out=(0.5, 0.35))


def _draw(attention: Any, queries: tuple[float, float], values: tuple[float, float], out: tuple[float, float]) -> None:
    """Set each projection to noise plus a multiple of the identity."""
    mixes = {"q_proj": queries, "k_proj": queries, "v_proj": values, "o_proj": out}
    for name, (noise, identity) in mixes.items():
        weight = getattr(attention, name).weight
        drawn = torch.randn_like(weight) / math.sqrt(weight.shape[1])
        weight.copy_(noise * drawn + identity * torch.eye(len(weight)))


def _lexical(model: Any, line_break: int) -> None:
    config, layers = model.config, model.model.layers
    rows = config.hidden_size // config.num_attention_heads
    _mark(model.get_input_embeddings().weight, line_break)
    basis = torch.linalg.qr(torch.randn(config.hidden_size, 3 * rows))[0].T.contiguous()
    basis[:, : RARE + 1] = 0.0
    seen_RH, near_RH, title_RH = basis.split(rows)
    _look_back(layers[0].self_attn, config, seen_RH, near_RH)
    _look_at_title(layers[1].self_attn, config, near_RH, title_RH)
    _match(layers[2].self_attn, config, near_RH, title_RH)
    _near_identity(layers[3:])
    for layer in layers:  # what layers add is to be no larger than the embeddings that they add it to
        layer.self_attn.o_proj.weight.mul_(SPREAD / 0.3)
        layer.mlp.down_proj.weight.mul_(SPREAD / 0.3)


def _mark(embeddings_VH: Tensor, line_break: int) -> None:
    torch.nn.init.normal_(embeddings_VH, std=SPREAD)
    vocabulary = len(embeddings_VH)
    frequent = min(FREQUENT, vocabulary // 2)
    rank_V = torch.arange(1, vocabulary + 1) / frequent
    embeddings_VH[:, SHARED] = MARK * SPREAD
    embeddings_VH[:, TITLE_END] = 0.0
    embeddings_VH[line_break, TITLE_END] = MARK * SPREAD
    # by Zipf's law frequency falls as 1 / rank, so that -log frequency grows as log rank
    embeddings_VH[:, RARE] = MARK * SPREAD * (rank_V.log() / math.log(vocabulary / frequent)).clamp(0, 1)


def _look_back(attention: Any, config: Any, seen_RH: Tensor, near_RH: Tensor) -> None:
    """Make heads attend by distance: rotary positions turn a coordinate that all tokens share into a sum of cosines."""
    _draw(attention, queries=(0.09, 0), values=(0.09, 0), out=(0.09, 0))
    rows, turns_P = len(seen_RH), _turns(config)
    for head in range(config.num_attention_heads):
        place, glance = slice(head * rows, (head + 1) * rows), GLANCES[head % len(GLANCES)]
        used_P = ((turns_P >= glance.slowest) & (turns_P <= glance.fastest)).float()
        size = _size(glance.sharpness / float(used_P.sum()), config, rows)
        attention.q_proj.weight[place, SHARED] = torch.cat([used_P, torch.zeros_like(used_P)]) * size
        turned_R = torch.cat([used_P * (turns_P * glance.back).cos(), used_P * (turns_P * glance.back).sin()])
        attention.k_proj.weight[place, SHARED] = turned_R * size
        if glance.rarity:
            _seek(attention, RARE, glance.rarity, head, config)
        attention.v_proj.weight[place] += seen_RH
        attention.o_proj.weight[:, place] += near_RH.T


def _look_at_title(attention: Any, config: Any, near_RH: Tensor, title_RH: Tensor) -> None:
    _draw(attention, queries=(0.3, 0), values=(0.3, 0.7), out=(0.3, 0.5))
    place = slice(0, len(near_RH))
    attention.q_proj.weight[place] = 0.0
    attention.k_proj.weight[place] = 0.0
    _seek(attention, TITLE_END, TO_TITLE_END, 0, config)
    attention.v_proj.weight[place] = near_RH
    attention.o_proj.weight[:, place] = 2 * title_RH.T


def _match(attention: Any, config: Any, near_RH: Tensor, title_RH: Tensor) -> None:
    """Give each head different coordinates of the subspaces, in rotary pairs that hardly rotate within a passage."""
    _draw(attention, queries=(0.09, 0), values=(0.3, 0.7), out=(0.3, 0.5))
    rows = len(near_RH)
    slow_R1 = (_turns(config) * REACH <= 1).float().repeat(2)[:, None]
    for head in range(config.num_attention_heads):
        place, shift = slice(head * rows, (head + 1) * rows), head * rows // 4
        attention.q_proj.weight[place] += slow_R1 * near_RH.roll(shift, 0)
        attention.k_proj.weight[place] += slow_R1 * (0.5 * near_RH + 2 * title_RH).roll(shift, 0)


def _turns(config: Any) -> Tensor:
    """Radians per place of each rotary pair (P,), fastest first."""
    rows = config.hidden_size // config.num_attention_heads
    return float(config.rope_parameters["rope_theta"]) ** (-torch.arange(0, rows, 2) / rows)


def _seek(attention: Any, mark: int, logit: float, head: int, config: Any) -> None:
    """Let a head attend to a marker, through the slowest rotary pair."""
    rows = config.hidden_size // config.num_attention_heads
    row, size = head * rows + rows // 2 - 1, _size(logit, config, rows)
    attention.q_proj.weight[row, SHARED] = size
    attention.k_proj.weight[row, mark] = size
    if mark != SHARED:
        attention.k_proj.weight[row, SHARED] = 0.0


def _size(logit: float, config: Any, rows: int) -> float:
    """The size of a query's and a key's coordinate such that two normalised markers give this logit."""
    marked = MARK / math.sqrt((config.hidden_size - 1 + MARK**2) / config.hidden_size)
    return math.sqrt(logit * math.sqrt(rows)) / marked
