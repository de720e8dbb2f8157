"""What each place of a prompt sees when all candidates stand in it behind gates.

The documents stand in the order of their scores, so the first k are those that are read. With gates of 0 for them and
a floor near 0 for the others, predictions equal those of a prompt that holds the first k alone.

Shapes: B rows, T places, N documents.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference.model import layout


class Gated(NamedTuple):
    """The gates of the documents of some rows, in the order of the prompt."""

    logs_BN: Tensor
    """What is added to the attention that later places pay to each document."""
    k: int
    """How many of the first are read."""

    def of(self, group: list[int]) -> Gated:
        """Those of some of the rows."""
        return Gated(self.logs_BN[group], self.k)


def sight(attention: str, segments_BT: layout.Ints, gates: Gated, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What is added to attention scores (B, 1, T, T), with the gates' gradient, and positions (B, T).

    With block attention a document sees no other one. With causal attention a document that is not read stands in the
    place of the last one that is: it has its positions, and sees those before it.
    """
    mask_BTT, positions_BT = layout.visible(segments_BT) if attention == "block" else _causal(segments_BT, gates.k)
    device = gates.logs_BN.device
    segments = torch.from_numpy(segments_BT).to(device)
    columns_BT = gates.logs_BN.gather(1, (segments - 1).clamp_min(0)) * (segments > 0)
    later_BTT = segments[:, :, None] != segments[:, None, :]
    added_BTT = (later_BTT * columns_BT[:, None, :]).to(dtype)
    hidden_BTT = torch.from_numpy(~mask_BTT).to(device)
    added_BTT = added_BTT.masked_fill(hidden_BTT, torch.finfo(dtype).min)
    return added_BTT[:, None], torch.from_numpy(positions_BT).to(device)


def _causal(segments_BT: layout.Ints, k: int) -> tuple[layout.Bools, layout.Ints]:
    width = segments_BT.shape[1]
    own_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    unread_BT = segments_BT > k
    seen_B1T = np.where(unread_BT, np.iinfo(np.int64).max, segments_BT)[:, None, :]  # a document's place in line
    standing_BT1 = np.where(unread_BT, k, segments_BT)[:, :, None]
    asking_BT1 = segments_BT[:, :, None] < 0
    earlier_BTT = (seen_B1T < standing_BT1) | asking_BT1 | own_BTT
    mask_BTT = np.tri(width, dtype=bool) & earlier_BTT & (segments_BT != layout.PADDING)[:, None, :]
    mask_BTT |= np.eye(width, dtype=bool)  # padding sees itself, so that no row of the softmax is empty
    return mask_BTT, np.stack([_positions(segments_T, k) for segments_T in segments_BT])


def _positions(segments_T: layout.Ints, k: int) -> layout.Ints:
    """As in a prompt of the first k documents; the others count on from where the kth begins."""
    read_T = (segments_T <= k) & (segments_T != layout.PADDING)
    positions_T = np.where(read_T, np.cumsum(read_T) - 1, 0)
    begins = positions_T[segments_T == min(k, segments_T.max())]
    for number in range(k + 1, int(segments_T.max()) + 1):
        places = np.flatnonzero(segments_T == number)
        positions_T[places] = begins[0] + np.arange(len(places))
    return positions_T
