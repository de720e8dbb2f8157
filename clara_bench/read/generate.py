"""Greedy generation from token ids, batched, with the time to the first token measured separately.

We run our own loop, not `model.generate`: it times prefill and decode separately, drops rows
from the batch as soon as they end, and takes the plain argmax whatever sampling or penalties a
model's generation_config asks for. Shapes: B rows, T tokens of the longest row.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from clara_bench.read.attention import kept, passed


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of one prompt."""

    ids: tuple[int, ...]
    """Generated tokens, without the token that ended them."""
    prefill_seconds: float
    decode_seconds: float


@dataclass(frozen=True, slots=True)
class Before:
    """What prompts go on from, where the model has read something before them. S positions."""

    cache: Any
    """Keys and values, one row a prompt, as the model keeps them; they are written to."""
    mask_BS: torch.Tensor
    """1 where there are any, 0 where a shorter row is filled up."""
    start_B: torch.Tensor
    """Position of each prompt's first token."""


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop: frozenset[int],
    max_new_tokens: int,
    before: Before | None = None,
) -> list[Generated]:
    """Continue each prompt greedily until a stop token or `max_new_tokens`.

    Prefill time is shared among the rows by their tokens, each decoding step equally among the
    rows still alive in it.

    Args:
        model: a causal language model.
        prompts: token ids, at least one a row.
        stop: ids that end an answer.
        max_new_tokens: at least 1.
        before: what was read before the prompts; nothing by default.
    """
    start = _clock(model)
    ids_BT, mask_BT = _left_padded(prompts, model.device)
    positions_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
    if before is not None:
        positions_BT = positions_BT + before.start_B[:, None]
        mask_BT = torch.cat([before.mask_BS, mask_BT], 1)
    out = forward(model, ids_BT, mask_BT, positions_BT, None if before is None else before.cache)
    next_B = out.logits[:, -1].argmax(-1)
    prefill_seconds = _clock(model) - start
    tokens, seconds = _decode(model, kept(out), next_B, mask_BT, positions_BT[:, -1], stop, max_new_tokens)
    total = sum(map(len, prompts))
    return [
        Generated(tuple(tokens[row]), prefill_seconds * len(prompts[row]) / total, seconds[row])
        for row in range(len(prompts))
    ]


def _left_padded(prompts: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = [[0] * (width - len(row)) + list(row) for row in prompts]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def forward(model: Any, ids_BT: torch.Tensor, mask_BT: torch.Tensor, positions_BT: torch.Tensor, cache: Any) -> Any:
    """One pass of a model, with logits for the last position only; arguments the model does not know are left out."""
    known = inspect.signature(model.forward).parameters
    extra = {"position_ids": positions_BT, "logits_to_keep": 1}
    return model(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        use_cache=True,
        **passed(model, cache),
        **{name: value for name, value in extra.items() if name in known},
    )


def _decode(
    model: Any,
    cache: Any,
    next_B: torch.Tensor,
    mask_BT: torch.Tensor,
    last_B: torch.Tensor,
    stop: frozenset[int],
    max_new_tokens: int,
) -> tuple[list[list[int]], list[float]]:
    tokens: list[list[int]] = [[] for _ in next_B]
    seconds = [0.0] * len(tokens)
    alive = list(range(len(tokens)))
    while True:
        start = _clock(model)
        going = []
        for place, (row, token) in enumerate(zip(alive, next_B.tolist(), strict=True)):
            if token not in stop:
                tokens[row].append(token)
                if len(tokens[row]) < max_new_tokens:
                    going.append(place)
        if not going:
            return tokens, seconds
        if len(going) < len(alive):
            left = torch.tensor(going, device=next_B.device)
            cache.reorder_cache(left)
            next_B, mask_BT, last_B = next_B[left], mask_BT[left], last_B[left]
            alive = [alive[place] for place in going]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(alive), 1)], dim=1)
        last_B = last_B + 1
        out = forward(model, next_B[:, None], mask_BT, last_B[:, None], cache)
        cache, next_B = kept(out), out.logits[:, -1].argmax(-1)
        spent = (_clock(model) - start) / len(alive)
        for row in alive:
            seconds[row] += spent


def _clock(model: Any) -> float:
    if model.device.type != "cpu":
        getattr(torch, model.device.type).synchronize()
    return time.perf_counter()
