"""Log-probabilities of documents drawn one after another without replacement (Plackett-Luce).

Shapes: B questions, N candidates, K drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clara_bench import ConfigError

MOST = 10
"""Documents drawn together, where their order does not count: the work doubles with each."""


def of_set(logits_BN: Tensor, indices_BK: Tensor) -> Tensor:
    """Log-probability of having drawn these documents in any order: (B,).

    As the score of a draw for REINFORCE it has less variance than that of the order drawn, where the reader does not
    see the order: it is the mean of the ordered score over all orders (Rao-Blackwell).

    Sums over subsets instead of orders: 2 ** K states, each the probability that the first so many drawn are these.

    Args:
        logits_BN: scores over the temperature, -inf for padding; at most `MOST` are drawn.
        indices_BK: positions of the drawn.

    Raises:
        ConfigError: more are drawn.
    """
    k = indices_BK.shape[1]
    if k > MOST:
        raise ConfigError(f"selection.k is {k}; expected at most {MOST} with draws 'set'. Use draws 'ordered'")
    drawn_BK = logits_BN.gather(1, indices_BK)
    rest_B1 = logits_BN.scatter(1, indices_BK, -math.inf).logsumexp(1, keepdim=True)
    found: list[Tensor] = [torch.zeros_like(rest_B1[:, 0])]
    for subset in range(1, 2**k):
        members = [place for place in range(k) if subset >> place & 1]
        steps = [found[subset ^ 1 << last] + _next(drawn_BK, rest_B1, subset ^ 1 << last, last) for last in members]
        found.append(torch.stack(steps, 1).logsumexp(1))
    return found[-1]


def _next(drawn_BK: Tensor, rest_B1: Tensor, taken: int, last: int) -> Tensor:
    """Log-probability of the next document, where those of the subset `taken` are gone."""
    left = [place for place in range(drawn_BK.shape[1]) if not taken >> place & 1]
    return drawn_BK[:, last] - torch.cat([rest_B1, drawn_BK[:, left]], 1).logsumexp(1)
