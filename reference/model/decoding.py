"""Greedy decoding with an attention cache, timed, for rows of different lengths.

Shapes: B rows, T positions, H hidden.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reference.model.roles import Role


class Span(NamedTuple):
    """The continuation of one prompt."""

    ids: tuple[int, ...]
    """Generated tokens, without the one that ended them."""
    prefill_seconds: float
    """Shared among the rows of a batch by their length."""
    decode_seconds: float
    """The seconds of a step are shared equally among the rows still generating."""
    truncated: bool
    """Whether it reached the longest allowed length without an end token."""


class Generated(NamedTuple):
    """One answer: its text, and the fields of `Span`."""

    text: str
    ids: tuple[int, ...]
    prefill_seconds: float
    decode_seconds: float
    truncated: bool


def greedy(
    role: Role,
    embeddings_BTH: Tensor,
    mask_BT: Tensor,
    ends: Collection[int],
    most: int,
    start: float,
    seen_B1TT: Tensor | None = None,
    positions_BT: Tensor | None = None,
) -> list[Span]:
    """Continue each row with its likeliest tokens; a row that ends leaves the batch.

    Args:
        role: who decodes.
        embeddings_BTH: prompts, padded on the left.
        mask_BT: 1 where there is a prompt, 0 where padding.
        ends: tokens that end a row.
        most: tokens at most, at least 1.
        start: when the prefill began, by `clock`.
        seen_B1TT: added to the prompts' attention scores; None lets each place see all before it, as what is
            generated does in any case.
        positions_BT: of the prompts; None counts from each one's first token.
    """
    lengths = mask_BT.sum(1).tolist()
    if positions_BT is None:
        positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    next_B, cache = _step(role, embeddings_BTH, mask_BT if seen_B1TT is None else seen_B1TT, positions_BT, None)
    positions_BT = positions_BT[:, -1:]
    tokens: list[list[int]] = [[] for _ in lengths]
    alive, ended, seconds = list(range(len(lengths))), [False] * len(lengths), [0.0] * len(lengths)
    prefill = (clock(mask_BT.device) - start) / sum(lengths)
    while alive:
        start, going = clock(mask_BT.device), []
        for place, (row, token) in enumerate(zip(alive, next_B.tolist(), strict=True)):
            ended[row] = token in ends
            if not ended[row]:
                tokens[row].append(token)
                if len(tokens[row]) < most:
                    going.append(place)
        if going and len(going) < len(alive):
            kept_B = torch.tensor(going, device=mask_BT.device)
            cache.reorder_cache(kept_B)
            next_B, mask_BT, positions_BT = next_B[kept_B], mask_BT[kept_B], positions_BT[kept_B]
        alive = [alive[place] for place in going]
        if alive:
            mask_BT = nn.functional.pad(mask_BT, (0, 1), value=1)
            positions_BT = positions_BT + 1
            next_B, cache = _step(role, role.embed(next_B[:, None]), mask_BT, positions_BT, cache)
            spent = (clock(mask_BT.device) - start) / len(alive)
            for row in alive:
                seconds[row] += spent
    columns = zip(tokens, lengths, seconds, ended, strict=True)
    return [Span(tuple(ids), prefill * length, decode, not end) for ids, length, decode, end in columns]


def clock(device: torch.device) -> float:
    """The time in seconds, after the device has finished its queue."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter()


def _step(role: Role, embeddings_BTH: Tensor, mask: Tensor, positions_BT: Tensor, cache: Any) -> tuple[Tensor, Any]:
    """The likeliest next token of each row, and the attention cache."""
    states_BTH, cache = role(embeddings_BTH, mask, positions_BT, cache, use_cache=True)
    return role.logits(states_BTH[:, -1]).argmax(-1), cache
