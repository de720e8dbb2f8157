"""Which keys and values of a passage to keep: one function a press, from a layer's states to a score for each token.

Each is a few lines from its paper, with the settings of NVIDIA's kvpress 0.5.5 (arXiv 2510.00636), against which
`tests/kv/test_presses.py` holds the scores. Where kvpress fixes a window or a number of first tokens that must stay,
ours shrinks with the budget: a passage is much shorter than the contexts that these were made for.

Shapes: H heads of keys, Q heads of queries, G queries' heads a key's head, N tokens of the passage, P positions before
it, T queries, S keys, D numbers of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from clara_bench.kv.rotary import Rotary

SINKS = 4
"""First tokens that `streaming-llm` and `expected-attention` keep, at most half of what is kept."""
WINDOW = 64
"""Last tokens whose attention `snapkv` takes, and which it keeps, at most half of what is kept."""
KERNEL = 5
"""Tokens over which `snapkv` smooths."""
FUTURE = 512
"""Positions after the passage at which `expected-attention` expects queries."""

PressName = Literal["streaming-llm", "snapkv", "tova", "expected-attention", "knorm", "keydiff", "kvzip", "random"]


class Repeated(NamedTuple):
    """States of one layer while the model repeats the passage."""

    queries_QTD: Tensor
    keys_HTD: Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """What one attention layer holds after a passage; keys and queries are rotated to their positions."""

    queries_QND: Tensor
    keys_HND: Tensor
    values_HND: Tensor
    before_HPD: Tensor
    """Keys of what stands before the passage, which is always kept."""
    budget: int
    """Tokens to keep, fewer than N."""
    scale: float
    """What products of queries and keys are multiplied by."""
    rotary: Rotary
    draw: torch.Generator
    """For `random`: seeded with the passage."""
    repeated: Repeated | None = None
    """For `kvzip`."""

    @property
    def sinks(self) -> int:
        """First tokens that must stay."""
        return min(SINKS, self.budget // 2)


def streaming_llm(layer: Layer) -> Tensor:
    """The first tokens and the last (StreamingLLM, arXiv 2309.17453)."""
    scores_HN = torch.ones_like(layer.keys_HND[..., 0], dtype=torch.float32)
    dropped = scores_HN.shape[1] - layer.budget
    scores_HN[:, layer.sinks : layer.sinks + dropped] = 0
    return scores_HN


def snapkv(layer: Layer) -> Tensor:
    """Mean attention of the last tokens, smoothed; these stay too (SnapKV, arXiv 2404.14469)."""
    window = max(1, min(WINDOW, layer.budget // 2))
    seen_HGN = _of_last(layer, window).mean(-2)
    smooth_HGN = functional.avg_pool1d(seen_HGN, KERNEL, stride=1, padding=KERNEL // 2)
    return functional.pad(smooth_HGN.mean(1), (0, window), value=torch.inf)


def tova(layer: Layer) -> Tensor:
    """Attention of the last token, averaged over all heads; it stays too (TOVA, arXiv 2401.06104)."""
    seen_N = _of_last(layer, 1).mean((0, 1, 2))
    return functional.pad(seen_N, (0, 1), value=torch.inf).expand(len(layer.keys_HND), -1)


def expected_attention(layer: Layer) -> Tensor:
    """Attention that later queries are expected to pay, times the value's norm (arXiv 2510.00636).

    Later queries are taken for normal, with mean and covariance of the passage's own, at the positions that follow.
    """
    sinks, (heads, tokens, size) = layer.sinks, layer.keys_HND.shape
    start = layer.before_HPD.shape[1]
    positions_N = torch.arange(start, start + tokens, device=layer.keys_HND.device)
    queries_QND = layer.rotary.move(layer.queries_QND.float(), -positions_N)[:, sinks:]
    mean_QD = queries_QND.mean(1)
    around_QND = queries_QND - mean_QD[:, None]
    covariance_QDD = around_QND.mT @ around_QND / around_QND.shape[1]
    turn_DD = _mean_turn(layer.rotary, start + tokens, size)
    mean_HGD = (mean_QD @ turn_DD.mT).reshape(heads, -1, size)
    covariance_HGDD = (turn_DD @ covariance_QDD @ turn_DD.mT).reshape(heads, -1, size, size)
    keys_HGND = layer.keys_HND[:, None, sinks:].float()
    logits_HGN = (keys_HGND @ mean_HGD[..., None])[..., 0] * layer.scale
    logits_HGN = logits_HGN + ((keys_HGND @ covariance_HGDD) * keys_HGND).sum(-1) * layer.scale**2 / 2
    scores_HN = logits_HGN.softmax(-1).mean(1) * torch.linalg.vector_norm(layer.values_HND[:, sinks:].float(), dim=-1)
    return functional.pad(scores_HN, (sinks, 0), value=torch.inf)


def knorm(layer: Layer) -> Tensor:
    """Keys of small norm stay, which attract attention (arXiv 2406.11430)."""
    norms_HN: Tensor = torch.linalg.vector_norm(layer.keys_HND.float(), dim=-1)
    return -norms_HN


def keydiff(layer: Layer) -> Tensor:
    """Keys unlike the mean key stay (KeyDiff, arXiv 2504.15364), over the passage as one block."""
    keys_HND = layer.keys_HND.float()
    anchor_H1D = functional.normalize(keys_HND, dim=-1).mean(1, keepdim=True)
    return -functional.cosine_similarity(keys_HND, anchor_H1D, dim=-1)


def kvzip(layer: Layer) -> Tensor:
    """Most attention that a token gets while the model repeats the passage (KVzip, arXiv 2505.23416).

    The same number is kept in all layers and heads; the paper shares out one budget among them.
    """
    assert layer.repeated is not None, "the model has not repeated the passage"
    sinks_HPD = layer.before_HPD[:, :SINKS]
    keys_HSD = torch.cat([sinks_HPD, layer.keys_HND, layer.repeated.keys_HTD], 1)
    weights_HGTS = attention(layer.repeated.queries_QTD, keys_HSD, layer.scale)
    start = sinks_HPD.shape[1]
    return weights_HGTS[..., start : start + layer.keys_HND.shape[1]].amax((1, 2))


def at_random(layer: Layer) -> Tensor:
    """Tokens drawn at random, in each layer and head by itself: the control."""
    return torch.rand(layer.keys_HND.shape[:2], generator=layer.draw).to(layer.keys_HND.device)


PRESSES: Mapping[PressName, Callable[[Layer], Tensor]] = MappingProxyType({
    "streaming-llm": streaming_llm,
    "snapkv": snapkv,
    "tova": tova,
    "expected-attention": expected_attention,
    "knorm": knorm,
    "keydiff": keydiff,
    "kvzip": kvzip,
    "random": at_random,
})  # fmt: skip
"""Scores (H, N), higher for what stays."""


def attention(queries_QTD: Tensor, keys_HSD: Tensor, scale: float) -> Tensor:
    """Attention weights (H, G, T, S) of the last T of S positions, each over those up to itself."""
    queries_HGTD = queries_QTD.float().reshape(len(keys_HSD), -1, *queries_QTD.shape[1:])
    logits_HGTS: Tensor = queries_HGTD @ keys_HSD.float()[:, None].mT * scale
    queries, keys = logits_HGTS.shape[-2:]
    later_TS = torch.ones(queries, keys, dtype=torch.bool, device=keys_HSD.device).triu(keys - queries + 1)
    return logits_HGTS.masked_fill(later_TS, -torch.inf).softmax(-1)


def _of_last(layer: Layer, window: int) -> Tensor:
    """Attention weights (H, G, T, N - T) of the last tokens over the tokens before them."""
    keys_HSD = torch.cat([layer.before_HPD, layer.keys_HND], 1)
    return attention(layer.queries_QND[:, -window:], keys_HSD, layer.scale)[..., layer.before_HPD.shape[1] : -window]


def _mean_turn(rotary: Rotary, start: int, size: int) -> Tensor:
    """The mean rotation (D, D) over the positions from `start` on, for vectors as columns."""
    positions_K = torch.arange(start, start + FUTURE, device=rotary.frequencies_F.device)
    angles_KF = positions_K[:, None].float() * rotary.frequencies_F
    return rotary.turn(torch.eye(size, device=angles_KF.device), angles_KF.cos().mean(0), angles_KF.sin().mean(0)).mT
