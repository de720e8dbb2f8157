"""Attention gates: every candidate stands in the prompt, and its gate says how well later places see it.

Straight-through over memories asks the generator for its derivative at a mixture of two documents' vectors, which says
nothing about reading the other document. A gate asks for the derivative of the attention that a document gets, in a
prompt where it stands whole. So documents that are not read have a gradient of their own.

Shapes: B questions, N candidates, K chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from reference.selection.topk import best, straight_through_topk


class Gates(NamedTuple):
    """The candidates of each question in the order of their scores, with their gates."""

    order_BN: Tensor
    """Positions among the candidates, int64, best first; the first K are chosen, padding comes last."""
    logs_BN: Tensor
    """What is added to attention scores, fp32, in that order: 0 for the chosen, log(floor) for the others. The gradient
    is that of the expected inclusion: the sum over the slots of straight-through top-k's softmax."""


def gates(scores_BN: Tensor, k: int, temperature: float, floor: float, mask_BN: Tensor | None = None) -> Gates:
    """Gates of all candidates, log(g (1 - floor) + floor) with g the hard top-k forward and its softmax backward.

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
