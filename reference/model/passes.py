"""Forward passes of the backbone: documents to memories, or prompts with memories to predictions.

Shapes: B rows, T tokens, M memory slots, H hidden, S memory vectors of a row, P places, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reference.model import gated, layout
from reference.model.gated import Gated
from reference.model.prompts import Encoded
from reference.model.roles import Role


class Memories(NamedTuple):
    """The memories of a batch of documents or questions."""

    states_BMH: Tensor
    """Memory vectors; zero beyond a short document's own."""
    mask_BM: Tensor
    """True where there is a memory vector."""
    summary_BH: Tensor
    """Mean of the final states over the document's own tokens, opening and specials included; float32."""


class Predictions(NamedTuple):
    """The generator's outputs at positions whose next token is a target, row by row."""

    logits_PV: Tensor
    labels_P: Tensor
    weights_P: Tensor
    """float32."""
    rows_P: Tensor
    """The row of the batch that each position belongs to."""


def encode(
    role: Role,
    where: layout.Documents,
    opening_H: Tensor,
    memory_MH: Tensor,
    front_PH: Tensor | None = None,
    residual: nn.Module | None = None,
    bidirectional: bool = False,
) -> Memories:
    """Compute the memories of documents that are laid out in one batch.

    Args:
        role: who compresses.
        where: the batch.
        opening_H: opens every row.
        memory_MH: asks for the memory vectors.
        front_PH: vectors in front of rows that continue a document, in the opening's place.
        residual: maps pooled states to what is added to the pooled input embeddings; None for the states themselves.
        bidirectional: let every place see the whole document.
    """
    device, rows = opening_H.device, len(where.ids_BT)
    slots_P = on(device, np.flatnonzero(where.slots_BM))
    embeddings_BTH = role.embed(on(device, where.ids_BT))
    if front_PH is None:
        places_P, vectors_PH = on(device, where.opening_P), opening_H.expand(rows, -1)
    else:
        places_P, vectors_PH = on(device, where.front_P), front_PH.to(memory_MH.dtype)
    if not where.pooled:
        places_P = torch.cat([places_P, on(device, where.memory_P)])
        vectors_PH = torch.cat([vectors_PH, memory_MH.repeat(rows, 1).index_select(0, slots_P)])
    states_BTH = _states(role, _fill(embeddings_BTH, places_P, vectors_PH), where, bidirectional)
    memories_BMH = _memories(states_BTH, where, slots_P)
    if residual is not None:
        added_BMH = residual(memories_BMH.to(next(residual.parameters()).dtype))
        memories_BMH = _memories(embeddings_BTH, where, slots_P) + added_BMH.to(embeddings_BTH.dtype)
    return Memories(memories_BMH, on(device, where.slots_BM), _summary(states_BTH, where))


def _memories(states_BTH: Tensor, where: layout.Documents, slots_P: Tensor) -> Tensor:
    device, width = states_BTH.device, states_BTH.shape[2]
    if where.pooled:
        return torch.einsum("bmt,bth->bmh", on(device, where.shares_BMT).to(states_BTH.dtype), states_BTH)
    flat_PH = states_BTH.flatten(0, 1).index_select(0, on(device, where.memory_P))
    if not where.slots_BM.all():
        flat_PH = flat_PH.new_zeros(where.slots_BM.size, width).index_copy(0, slots_P, flat_PH)
    return flat_PH.view(len(where.slots_BM), -1, width)


def _summary(states_BTH: Tensor, where: layout.Documents) -> Tensor:
    text_BT = on(states_BTH.device, where.text_BT).float()
    return torch.einsum("bt,bth->bh", text_BT / text_BT.sum(1, keepdim=True), states_BTH.float())


def _states(role: Role, embeddings_BTH: Tensor, where: layout.Documents, bidirectional: bool) -> Tensor:
    if where.plain and not bidirectional:
        return role(embeddings_BTH)[0]
    device, dtype = embeddings_BTH.device, embeddings_BTH.dtype
    mask, positions_BT = on(device, where.attended_BT).long(), on(device, where.positions_BT)
    if bidirectional:
        hidden_B1TT = (mask == 0)[:, None, None].expand(-1, 1, mask.shape[1], -1)
        added_B1TT = torch.zeros(hidden_B1TT.shape, dtype=dtype, device=device)
        mask = added_B1TT.masked_fill(hidden_B1TT, torch.finfo(dtype).min)
    return role(embeddings_BTH, mask, positions_BT)[0]


def read(
    role: Role,
    rows: Sequence[Encoded],
    memories: Any,
    group: Sequence[int],
    separator_H: Tensor,
    attention: str,
    gates: Gated | None = None,
) -> Predictions:
    """Predict the targets of some rows.

    Args:
        role: who reads.
        rows: all of them.
        memories: of all rows; see `Clara.read`.
        group: which rows go through in this pass.
        separator_H: closes each document's memories.
        attention: causal or block.
        gates: of all rows' documents; None where every document of a prompt is read.
    """
    chosen = [rows[row] for row in group]
    ids_BT = layout.pad([row.ids for row in chosen])
    aim = layout.targets([row.labels for row in chosen], [row.weights for row in chosen], ids_BT.shape[1])
    embeddings_BTH = filled(role, ids_BT, memories, group, separator_H)
    segments_BT = layout.pad([row.segments for row in chosen], layout.PADDING)
    if gates is None:
        seen = sight(attention, segments_BT, embeddings_BTH)
    else:
        seen = gated.sight(attention, segments_BT, gates.of(list(group)), embeddings_BTH.dtype)
    states_BTH = role(embeddings_BTH, *seen)[0]
    device = states_BTH.device
    logits_PV = role.logits(states_BTH.flatten(0, 1).index_select(0, on(device, aim.places_P)))
    rows_P = on(device, np.asarray(group)[aim.rows_P])
    return Predictions(logits_PV, on(device, aim.labels_P), on(device, aim.weights_P), rows_P)


def sight(attention: str, segments_BT: layout.Ints, embeddings_BTH: Tensor) -> tuple[Tensor, Tensor] | tuple[()]:
    """The additive attention mask (B, 1, T, T) and positions (B, T); none for causal attention."""
    if attention == "causal":
        return ()
    mask_BTT, positions_BT = layout.visible(segments_BT)
    device, dtype = embeddings_BTH.device, embeddings_BTH.dtype
    hidden_B1TT = on(device, ~mask_BTT[:, None])
    # eager attention adds the mask as it is: True and False would hide nothing
    added_B1TT = torch.zeros(hidden_B1TT.shape, dtype=dtype, device=device)
    return added_B1TT.masked_fill(hidden_B1TT, torch.finfo(dtype).min), on(device, positions_BT)


def filled(role: Role, ids_BT: layout.Ints, memories: Any, group: Sequence[int], separator_H: Tensor) -> Tensor:
    """Embed prompts, with memories and separators in their places; no tensor is modified in place.

    Raises:
        ValueError: a row has more or fewer memory places than vectors.
    """
    given = [memories[row] for row in group] if memories is not None else []
    needed = (ids_BT == layout.MEMORY).sum(1).tolist()
    for row, count, vectors in zip(group, needed, given or [()] * len(needed), strict=True):
        if count != len(vectors):
            raise ValueError(f"row {row} has {count} memory places, {len(vectors)} memory vectors are given")
    device = separator_H.device
    embeddings_BTH = role.embed(on(device, np.maximum(ids_BT, 0)))
    if given and sum(needed):
        places_P = on(device, np.flatnonzero(ids_BT == layout.MEMORY))
        embeddings_BTH = _fill(embeddings_BTH, places_P, torch.cat(given).to(device))
    separators_P = np.flatnonzero(ids_BT == layout.SEPARATOR)
    if len(separators_P):
        vectors_PH = separator_H.expand(len(separators_P), -1)
        embeddings_BTH = _fill(embeddings_BTH, on(device, separators_P), vectors_PH)
    return embeddings_BTH


def _fill(embeddings_BTH: Tensor, places_P: Tensor, vectors_PH: Tensor) -> Tensor:
    flat_PH = embeddings_BTH.flatten(0, 1).index_copy(0, places_P, vectors_PH.to(embeddings_BTH.dtype))
    return flat_PH.view_as(embeddings_BTH)


def on(device: torch.device, array: Any) -> Tensor:
    """A numpy array as a tensor on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
