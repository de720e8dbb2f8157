"""Attention gates: every candidate stands in the prompt, and its gate says how well later places see it.

Straight-through over memories asks the generator for its derivative at a mixture of two documents' vectors, which says
nothing about reading the other document. A gate asks for the derivative of the attention that a document gets, in a
prompt where it stands whole. So documents that are not read have a gradient of their own.

Shapes: B questions, N candidates, K chosen or drawn.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from reference.selection.inner_products import exact
from reference.selection.topk import best, check, gumbel_noise, straight_through_topk

LEAST = -1e4
"""Logarithm of the least that a mask leaves of a document's attention: 0 in any number format, but finite."""


class Gates(NamedTuple):
    """The candidates of each question in the order of their scores, with their gates."""

    order_BN: Tensor
    """Positions among the candidates, int64, best first; the first K are chosen, padding comes last."""
    logs_BN: Tensor
    """What is added to attention scores, fp32, in that order."""


def gates(scores_BN: Tensor, k: int, temperature: float, floor: float, mask_BN: Tensor | None = None) -> Gates:
    """Gates of all candidates, log(g (1 - floor) + floor) with g the hard top-k forward and its softmax backward.

    The logarithm is 0 for the chosen, log(floor) for the others. The gradient is that of the expected inclusion: the
    sum over the slots of straight-through top-k's softmax.

    Args:
        scores_BN: similarities.
        k: documents to choose.
        temperature: of the softmax.
        floor: how much of its attention a document keeps that is not chosen, above 0. A small one is nearer to hard
            reading, and the gradient of an unread document, which is divided by it, is larger.
        mask_BN: False where a question has no such candidate.

    Raises:
        ConfigError: as `straight_through_topk`.
    """
    chosen = straight_through_topk(scores_BN, k, temperature, mask_BN)
    order_BN = best(scores_BN, scores_BN.shape[1], mask_BN)
    included_BN = chosen.weights_BKN.sum(1).clamp_min(0).gather(1, order_BN)
    return Gates(order_BN, torch.log(included_BN * (1 - floor) + floor))


def gumbel_mask(
    scores_BN: Tensor,
    k: int,
    temperature: float,
    relaxation: float,
    mask_BN: Tensor | None = None,
    noise_BKN: Tensor | None = None,
) -> Gates:
    """A relaxed random top-k mask: the largest of k Gumbel-softmax draws (Gumbel Reranking; arXiv 2502.11116).

    No document is read whole or left out in training; answers read the k best. The gradient is exact, given the noise.
    Theirs are scores of a reranker of texts, times a scale, and masks the reader's attention to passages. Ours are
    similarities of memories, over the temperature, and what later places of the prompt pay to each passage.

    Args:
        scores_BN: similarities.
        k: draws, as many as documents are read in the end.
        temperature: of the softmax without noise.
        relaxation: temperature of a draw; a low one is nearer to one document a draw.
        mask_BN: False where a question has no such candidate.
        noise_BKN: standard Gumbel noise; None draws it.

    Raises:
        ConfigError: as `straight_through_topk`.
    """
    check(scores_BN, k, temperature, mask_BN)
    logits_BN = scores_BN.to(exact(scores_BN)) / temperature
    logits_BN = logits_BN if mask_BN is None else logits_BN.masked_fill(~mask_BN, -math.inf)
    if noise_BKN is None:
        noise_BKN = gumbel_noise(logits_BN[:, None].expand(-1, k, -1))
    logs_BKN = ((logits_BN[:, None] + noise_BKN) / relaxation).log_softmax(-1)
    order_BN = best(scores_BN, scores_BN.shape[1], mask_BN)
    return Gates(order_BN, logs_BKN.amax(1).clamp_min(LEAST).gather(1, order_BN))
