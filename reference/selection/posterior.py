"""Documents drawn from the posterior: chosen by the question, and weighed by how likely they make the answer.

JSA-RAG (arXiv 2508.18168) takes the documents of a question as a latent variable: the retriever is the prior p(d | q),
the generator the likelihood p(a | q, d). It raises log p(d | q) of documents drawn from the posterior p(d | q, a) by
Metropolis independence sampling: a second retriever, which is given the answer too, proposes documents, and a cache
holds each question's last draw. Ours has N candidates beside each question, and needs no second retriever, no rejection
and no cache. A set of k documents is drawn from the prior. One slot, picked by chance, is then drawn anew from the
posterior given the others (Gibbs sampling), which is exact over the candidates that can stand there. The loss is minus
the log-evidence of that slot, log sum_n p(n | others, q) p(a | q, others + n); its gradient is that of log p(d | q)
averaged over the slot's posterior, less the same average over its prior. With k = 1 it is the exact gradient of the
answer's marginal log-likelihood. With k > 1 and `moves` of 1 the other slots come from the prior, not the posterior.

Shapes: B questions, N candidates, K documents of a set, V sets of all questions that differ in one slot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from reference.selection.topk import log_prob
from reference.settings.config import Selection


class Neighbours(NamedTuple):
    """The sets that differ from a question's in one slot, itself among them."""

    rows_V: Tensor
    """The question that each set belongs to."""
    indices_VK: Tensor
    log_prior_V: Tensor
    """Log-probability of having drawn the set, with the gradient of the scores."""


def neighbours(
    scores_BN: Tensor,
    drawn_BK: Tensor,
    selection: Selection,
    mask_BN: Tensor | None = None,
    slots_B: Tensor | None = None,
) -> Neighbours:
    """Every candidate in the place of one drawn document.

    Args:
        scores_BN: similarities.
        drawn_BK: a set of each question.
        selection: its temperature, and whether the order of a draw counts.
        mask_BN: False where a question has no such candidate.
        slots_B: the slot to draw anew; None picks it by chance.
    """
    rows, k = drawn_BK.shape
    if slots_B is None:
        slots_B = torch.randint(k, (rows,), device=drawn_BK.device)
    others_BN = torch.zeros_like(scores_BN, dtype=torch.bool).scatter(1, drawn_BK, True)
    others_BN = others_BN.scatter(1, drawn_BK.gather(1, slots_B[:, None]), False)
    free_BN = ~others_BN if mask_BN is None else ~others_BN & mask_BN
    rows_V, new_V = free_BN.nonzero(as_tuple=True)
    indices_VK = drawn_BK[rows_V].scatter(1, slots_B[rows_V][:, None], new_V[:, None])
    masks_VN = None if mask_BN is None else mask_BN[rows_V]
    return Neighbours(rows_V, indices_VK, log_prob(scores_BN[rows_V], indices_VK, selection, masks_VN))


def evidence(near: Neighbours, costs_V: Tensor, questions: int) -> Tensor:
    """Log-probability of each answer, over what its slot's prior has (B,).

    Args:
        near: the sets.
        costs_V: minus the answer's log-likelihood over each.
        questions: how many there are.
    """
    return _logsumexp(near, near.log_prior_V - costs_V, questions) - _logsumexp(near, near.log_prior_V, questions)


def redrawn(near: Neighbours, costs_V: Tensor, questions: int) -> Tensor:
    """A set of each question from the posterior of its slot (B, K)."""
    logits_V = (near.log_prior_V - costs_V).detach()
    waits_V = torch.empty_like(logits_V).exponential_().clamp_min(torch.finfo(logits_V.dtype).tiny)
    _, picked_B = _table(near, logits_V - waits_V.log(), questions).max(1)
    first_B = torch.searchsorted(near.rows_V, torch.arange(questions, device=near.rows_V.device))
    return near.indices_VK[first_B + picked_B]


def _logsumexp(near: Neighbours, values_V: Tensor, questions: int) -> Tensor:
    return _table(near, values_V, questions).logsumexp(1)


def _table(near: Neighbours, values_V: Tensor, questions: int) -> Tensor:
    """Values of each question's sets in a row, -inf behind them; `rows_V` ascends."""
    parts = values_V.split(torch.bincount(near.rows_V, minlength=questions).tolist())
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True, padding_value=float("-inf"))
