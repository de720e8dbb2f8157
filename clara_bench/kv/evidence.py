"""The passages of questions put together: keys at their places in the prompt, rows filled up to one length.

Shapes: B questions, L layers, H heads of keys, S positions before a question, D numbers of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from clara_bench.kv.passages import Pressed, Start, filled
from clara_bench.kv.rotary import Rotary
from clara_bench.read.generate import Before


class Evidence(NamedTuple):
    """All that stands before one question."""

    keys_LHSD: Tensor
    values_LHSD: Tensor
    end: int
    """Position of the question's first token."""


def put_together(start: Start, passages: Sequence[Pressed], rotary: Rotary) -> Evidence:
    """The beginning of the prompt and the passages, each moved to where the one before it ends."""
    keys, values, end = [start.keys_LHPD], [start.values_LHPD], len(start)
    for passage in passages:
        there = passage.keys_LHMD.to(start.keys_LHPD.device)
        keys.append(rotary.move(there, end - len(start)))
        values.append(passage.values_LHMD.to(there.device))
        end += passage.length
    return Evidence(torch.cat(keys, 2), torch.cat(values, 2), end)


def before(rows: Sequence[Evidence]) -> Before:
    """What the questions of a batch go on from, shorter rows filled up on the left."""
    sizes = [row.keys_LHSD.shape[2] for row in rows]
    longest, device = max(sizes), rows[0].keys_LHSD.device
    keys = [functional.pad(row.keys_LHSD, (0, 0, longest - row.keys_LHSD.shape[2], 0)) for row in rows]
    values = [functional.pad(row.values_LHSD, (0, 0, longest - row.values_LHSD.shape[2], 0)) for row in rows]
    mask = [[0] * (longest - size) + [1] * size for size in sizes]
    mask_BS = torch.tensor(mask, dtype=torch.long, device=device).reshape(len(rows), longest)
    starts_B = torch.tensor([row.end for row in rows], device=device)
    return Before(filled(torch.stack(keys, 1), torch.stack(values, 1)), mask_BS, starts_B)
