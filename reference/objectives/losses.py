"""Losses: cross-entropy of answers, MSE between memories and documents, contrastive and policy-gradient losses.

All losses are computed in fp32, whatever the model's type (fp64 stays fp64).

Shapes: B rows, T tokens, H hidden, V vocabulary, N candidates.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NO_TARGET = -100
"""Label of a position whose next token is not a target."""


class WeightedSum(NamedTuple):
    """A loss as a sum and its divisor, so that parts of a batch can be added first."""

    total: Tensor
    """Sum over target tokens of weight times negative log-likelihood (nats), with the gradient."""
    weight: Tensor
    """Sum of the weights, without a gradient."""


class StageLoss(NamedTuple):
    """The contribution of a micro-batch to its step."""

    cross_entropy: WeightedSum
    extra: WeightedSum
    """The stage's other term, times its weight in the loss; 0 of 0 if there is none."""
    logs: dict[str, WeightedSum]
    """Further statistics, without gradients."""


def cross_entropy_sum(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> WeightedSum:
    """Cross-entropy of the targets, summed; no target at all is 0 over 0.

    Args:
        logits: (..., V), each beside the label it predicts: nothing is shifted here.
        labels: (...), token ids; -100 where there is no target.
        weights: (...), of each target; None is 1.
    """
    losses = functional.cross_entropy(
        _exact(logits).flatten(0, -2), labels.flatten(), ignore_index=NO_TARGET, reduction="none"
    )
    counts = (labels.flatten() != NO_TARGET).to(losses.dtype)
    if weights is not None:
        counts = counts * weights.detach().flatten()
    return WeightedSum((losses * counts).sum(), counts.sum())


def share_of_batch(
    part: WeightedSum, form: Literal["token", "micro-batch"], batch_weight: float | Tensor, parts: int
) -> Tensor:
    """The contribution of one micro-batch to the loss of its global batch, which is the sum over all of them.

    Args:
        part: of the micro-batch.
        form: `token` weighs every target of the global batch alike, so the split does not matter; `micro-batch`
            averages the micro-batches' means, as the released code does.
        batch_weight: sum of the weights over the global batch, for `token`.
        parts: micro-batches in the global batch, over all ranks, for `micro-batch`.
    """
    if form == "token":
        return part.total / max(float(batch_weight), torch.finfo(torch.float32).tiny)
    return part.total / part.weight.clamp_min(torch.finfo(part.weight.dtype).tiny) / parts


def masked_mean(states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the positions where the mask is set: (B, H), fp32; zeros where none is.

    Values at other positions do not matter, not even NaN.
    """
    there_BT1 = mask_BT.bool()[..., None]
    total_BH = _exact(states_BTH).masked_fill(~there_BT1, 0.0).sum(1)
    return total_BH / there_BT1.sum(1).clamp_min(1)


def mse(memory_BH: Tensor, document_BH: Tensor, form: Literal["mean", "sum"] = "mean", detach: bool = False) -> Tensor:
    """Squared distance between a document's mean memory and its mean final state, averaged over the rows.

    Args:
        memory_BH: mean over a document's memory vectors.
        document_BH: mean over the final states of its own tokens.
        form: over hidden dimensions, their mean (released code) or their sum (CLaRa paper, eq. 2.1): H times as much.
        detach: let no gradient reach the document's side.
    """
    document_BH = document_BH.detach() if detach else document_BH
    squared_BH = (_exact(memory_BH) - _exact(document_BH)).square()
    return (squared_BH.mean(-1) if form == "mean" else squared_BH.sum(-1)).mean()


def contrastive(
    scores_BN: Tensor,
    positives_BN: Tensor,
    temperature: float,
    mask_BN: Tensor | None = None,
    form: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Contrastive loss from relevance labels: the supervised variant of the method.

    Averaged over the questions that have a positive; 0 if none has.

    Args:
        scores_BN: cosines of each question with its own candidates; there are no others.
        positives_BN: True for the gold ones.
        temperature: of the softmax over candidates.
        mask_BN: False where a question has no such candidate.
        form: `mean` asks for every positive, -mean of their log-probabilities; `sum` (released code) is content with
            one, -log of the probability of all of them together.
    """
    there_BN = torch.ones_like(positives_BN) if mask_BN is None else mask_BN
    rows_B = (positives_BN & there_BN).any(-1)
    positives_BN = (positives_BN & there_BN)[rows_B]
    logits_BN = (_exact(scores_BN) / temperature)[rows_B].masked_fill(~there_BN[rows_B], -math.inf)
    log_probs_BN = logits_BN.log_softmax(-1)
    if form == "sum":
        gains_B = log_probs_BN.masked_fill(~positives_BN, -math.inf).logsumexp(-1)
    else:
        gains_B = log_probs_BN.masked_fill(~positives_BN, 0.0).sum(-1) / positives_BN.sum(-1)
    return -gains_B.sum() / max(len(gains_B), 1)


def reinforce(log_prob_B: Tensor | None, reward_B: Tensor, baseline: Tensor | float = 0.0) -> Tensor:
    """Policy gradient: raises the probability of draws whose reward exceeds the baseline (Williams, 1992).

    The value means nothing by itself; its gradient's expectation is minus that of the mean reward.

    Args:
        log_prob_B: of the documents drawn; see `topk.Selected`.
        reward_B: the quality of the answer from them, without a gradient.
        baseline: the expected reward, independent of the draw; a number or (B,).
    """
    assert log_prob_B is not None, "no log-probability: select with estimator 'reinforce' and training=True"
    return -((reward_B - baseline).detach() * log_prob_B).mean()


def _exact(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
