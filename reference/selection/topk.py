"""Differentiable selection of k of N documents: scores, estimators, the selected memories.

The forward pass reads only the k best documents; the backward pass is that of a model in which each of the k slots
read a softmax mixture of all that were left (CLaRa, arXiv 2511.18659, algorithm 1), so every candidate learns whether
it would have helped. Three other estimators share the same interface.

Shapes: B questions, N candidates, K chosen, E numbers in a document's memory (concatenated vectors).
Scores, weights and their gradients are fp32 whatever the memories' type, also under autocast; fp64 stays fp64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clara_bench import ConfigError
from reference.selection.draws import of_set
from reference.selection.inner_products import exact, mixed
from reference.settings.config import GATED, Selection

LEAK = math.log(1e-8)
"""What the released code adds to the logit of a taken document: not minus infinity, so a clear leader leaks back in."""


class Selected(NamedTuple):
    """The documents chosen for each question, best first."""

    weights_BKN: Tensor
    """Weights of the candidates in each slot, fp32: exactly one-hot, unless `hard` is False. Carries the gradient."""
    indices_BK: Tensor
    """Position of each slot's document among the candidates, int64; of a mixture, the document taken out after it."""
    log_prob_B: Tensor | None = None
    """Log-probability of having drawn these documents, in this order or in any; only where `reinforce` drew them."""
    hard: bool = True
    """Whether each slot reads a single document."""


def straight_through_topk(
    scores_BN: Tensor, k: int, temperature: float, mask_BN: Tensor | None = None, leaky: bool = False
) -> Selected:
    """The k best candidates as one-hot rows, best first, with the gradient of a softmax over what each slot could take.

    Equal scores go to the candidate that stands first.

    Args:
        scores_BN: cosines.
        k: documents to choose.
        temperature: of the softmax; only the gradient depends on it.
        mask_BN: False where a question has no such candidate; it is never chosen and gets no gradient.
        leaky: as the released code, lower a taken document's logit by 18.4 instead of excluding it.

    Raises:
        ConfigError: fewer than k candidates, k below 1, a temperature that is not above 0.
    """
    check(scores_BN, k, temperature, mask_BN)
    indices_BK = best(scores_BN, k, mask_BN)
    soft_BKN = _slot_logits(scores_BN, indices_BK, temperature, mask_BN, leaky).softmax(-1)
    hard_BKN = _one_hot(indices_BK, soft_BKN)
    # Bracketed so that the added term is exactly 0; (hard + soft) - soft would round.
    return Selected(hard_BKN + (soft_BKN - soft_BKN.detach()), indices_BK)


def select(
    scores_BN: Tensor,
    selection: Selection,
    mask_BN: Tensor | None = None,
    generator: torch.Generator | None = None,
    training: bool = True,
) -> Selected:
    """Choose documents with the configured estimator.

    - `straight-through`: `straight_through_topk`.
    - `gumbel`: the same over scores with Gumbel noise, so other documents than the best get their turn.
    - `soft`: each slot reads the mixture itself; exact gradients, but nothing that could be read at answering time.
    - `gates`, `gumbel-mask`: all candidates are read, each behind a gate (gates.py); here the k best, as they are
      recalled. So for `posterior`, whose draws depend on the answer (posterior.py).
    - `reinforce`: draw from the Plackett-Luce distribution, without replacement; the gradient is `losses.reinforce`'s.

    Args:
        scores_BN: cosines.
        selection: k, temperature, estimator and mask.
        mask_BN: False where a question has no such candidate.
        generator: of the noise, on any device; None takes torch's own.
        training: False takes the k best without noise, whatever the estimator: what a trained model answers from.

    Raises:
        ConfigError: as `straight_through_topk`; a leaky mask with `reinforce`, whose draws never repeat a document.
    """
    k, temperature, leaky = selection.k, selection.temperature, selection.mask == "leaky"
    if selection.estimator == "reinforce" and leaky:
        raise ConfigError("selection.mask 'leaky' has no meaning for estimator 'reinforce'. Expected mask 'infinite'")
    if selection.estimator in ("straight-through", "posterior", *GATED) or not training:
        return straight_through_topk(scores_BN, k, temperature, mask_BN, leaky)
    check(scores_BN, k, temperature, mask_BN)
    if selection.estimator == "soft":
        return _mixture(scores_BN, k, temperature, mask_BN, leaky)
    perturbed_BN = scores_BN.to(exact(scores_BN)) + temperature * gumbel_noise(scores_BN, generator)
    if selection.estimator == "gumbel":
        return straight_through_topk(perturbed_BN, k, temperature, mask_BN, leaky)
    indices_BK = best(perturbed_BN, k, mask_BN)
    return as_chosen(indices_BK, scores_BN.shape[1])._replace(
        log_prob_B=log_prob(scores_BN, indices_BK, selection, mask_BN)
    )


def log_prob(scores_BN: Tensor, indices_BK: Tensor, selection: Selection, mask_BN: Tensor | None = None) -> Tensor:
    """Log-probability of drawing these documents, in this order or in any (`draws`): (B,)."""
    if selection.draws == "ordered":
        logits_BKN = _slot_logits(scores_BN, indices_BK, selection.temperature, mask_BN, False)
        return logits_BKN.log_softmax(-1).gather(-1, indices_BK[..., None]).sum((1, 2))
    logits_BN = scores_BN.to(exact(scores_BN)) / selection.temperature
    logits_BN = logits_BN if mask_BN is None else logits_BN.masked_fill(~mask_BN, -math.inf)
    return of_set(logits_BN, indices_BK)


def as_chosen(indices_BK: Tensor, candidates: int) -> Selected:
    """These documents of so many candidates, without a gradient."""
    weights_BKN = torch.zeros(*indices_BK.shape, candidates, device=indices_BK.device)
    return Selected(weights_BKN.scatter_(-1, indices_BK[..., None], 1.0), indices_BK)


def gather(selected: Selected, memories_BNE: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Selected memories (B, K, E): each chosen document's memory bit for bit, or the mixtures.

    The backward pass needs one number a slot and candidate, <gradient of the slot, memory of the candidate>; nothing of
    size (B, K, N, E) is ever made, and no copy of the memories is kept.

    Args:
        selected: weights, with the gradient's way back to the scores.
        memories_BNE: finite everywhere, zeros for candidates that pad a shorter list. Learn only if they ask for it.
        dtype: of the result and so of the gradient that comes back; None keeps the memories'. Name the model's type
            where memories were stored in a narrower one: fp16 would lose small gradients.
    """
    indices_BK = selected.indices_BK if selected.hard else None
    return mixed(selected.weights_BKN, memories_BNE, indices_BK, dtype or memories_BNE.dtype)


def check(scores_BN: Tensor, k: int, temperature: float, mask_BN: Tensor | None) -> None:
    """Refuse what cannot be chosen; see `straight_through_topk`."""
    if k < 1:
        raise ConfigError(f"selection.k is {k}; expected at least 1")
    if not temperature > 0:
        raise ConfigError(f"selection.temperature is {temperature}; expected a number above 0, such as 0.02")
    fewest = scores_BN.shape[-1]
    if mask_BN is not None and mask_BN.numel():
        fewest = int(mask_BN.sum(-1).min())
    if k > fewest:
        raise ConfigError(
            f"selection.k is {k}, but a question has only {fewest} candidates. "
            "Lower k or give every question at least k candidates"
        )


def best(scores_BN: Tensor, k: int, mask_BN: Tensor | None) -> Tensor:
    """Positions of the k highest scores; a stable sort, because the order of ties in topk is undefined."""
    ordered_BN = scores_BN.detach()
    if mask_BN is not None:
        ordered_BN = ordered_BN.masked_fill(~mask_BN, -math.inf)
    return ordered_BN.argsort(dim=-1, descending=True, stable=True)[:, :k]


def slot_weights(scores_BN: Tensor, indices_BK: Tensor, temperature: float, mask_BN: Tensor | None = None) -> Tensor:
    """The softmax of each slot over what earlier slots left: (B, K, N)."""
    return _slot_logits(scores_BN, indices_BK, temperature, mask_BN, False).softmax(-1)


def _one_hot(indices_BK: Tensor, like_BKN: Tensor) -> Tensor:
    return torch.zeros_like(like_BKN).scatter_(-1, indices_BK[..., None], 1.0)


def _slot_logits(
    scores_BN: Tensor, indices_BK: Tensor, temperature: float, mask_BN: Tensor | None, leaky: bool
) -> Tensor:
    """Logits of each slot over all candidates, those that earlier slots took (and padding) left out: (B, K, N)."""
    logits_BN = scores_BN.to(exact(scores_BN)) / temperature
    if mask_BN is not None:
        logits_BN = logits_BN.masked_fill(~mask_BN, -math.inf)
    logits_BKN = logits_BN[:, None].expand(-1, indices_BK.shape[1], -1)
    hard_BKN = _one_hot(indices_BK, logits_BKN.detach())
    taken_BKN = hard_BKN.cumsum(1) - hard_BKN
    # We exclude; the released code adds log(mask + 1e-8).
    return logits_BKN + LEAK * taken_BKN if leaky else logits_BKN.masked_fill(taken_BKN > 0, -math.inf)


def _mixture(scores_BN: Tensor, k: int, temperature: float, mask_BN: Tensor | None, leaky: bool) -> Selected:
    indices_BK = best(scores_BN, k, mask_BN)
    weights_BKN = _slot_logits(scores_BN, indices_BK, temperature, mask_BN, leaky).softmax(-1)
    return Selected(weights_BKN, indices_BK, hard=False)


def gumbel_noise(scores_BN: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise. The k best of logits plus this are a Plackett-Luce draw (Kool et al., ICML 2019)."""
    device = scores_BN.device if generator is None else generator.device
    waits_BN = torch.empty(scores_BN.shape, dtype=exact(scores_BN), device=device).exponential_(generator=generator)
    return -waits_BN.clamp_min(torch.finfo(waits_BN.dtype).tiny).log().to(scores_BN.device)
