"""Documents compressed segment by segment, each with the memory vectors of earlier segments in front (AutoCompressors).

After every segment its share of the memory embeddings asks for summary vectors, which stand in front of all later
segments (summary accumulation; Chevalier et al., EMNLP 2023, section 3.1). Gradients flow through all of them. Segments
are equal parts of a document here, so that each has its equal share of vectors; one segment is the form `tokens`.

Shapes: B rows, T tokens, M memory slots, H hidden, A rows that have a segment left, P places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference.model import layout, passes
from reference.model.passes import Memories
from reference.model.roles import Role
from reference.settings.config import Memory


class Segment(NamedTuple):
    """A part of a document and the memory slots that are its share."""

    ids: list[int]
    first: int
    """Of its slots, and the number of vectors in front of it."""
    slots: int


def segments(row: Sequence[int], count: int, longest: int) -> list[Segment]:
    """Split a document into equal parts of at most `longest` tokens; there are at most as many parts as memory vectors.

    >>> [(len(part.ids), part.first, part.slots) for part in segments([5] * 50, 6, 20)]
    [(16, 0, 2), (17, 2, 2), (17, 4, 2)]
    """
    parts = min(count, -(-len(row) // longest))
    cuts = [(part * len(row) // parts, part * count // parts) for part in range(parts + 1)]
    return [Segment(list(row[start:stop]), first, last - first) for (start, first), (stop, last) in pairwise(cuts)]


def encode(
    role: Role, rows: Sequence[Sequence[int]], counts: Sequence[int], opening_H: Tensor, memory_MH: Tensor, form: Memory
) -> Memories:
    """Compute memories of documents, segment by segment.

    Args:
        role: who compresses.
        rows: ids of each document with its special tokens, without the opening.
        counts: number of memory vectors of each document.
        opening_H: opens every document.
        memory_MH: asks for the memory vectors.
        form: gives the segment length and the places of memory embeddings.
    """
    parts = [segments(row, count, form.segment_tokens) for row, count in zip(rows, counts, strict=True)]
    found = _segment(role, [own[0] for own in parts], None, opening_H, memory_MH, form)
    lengths_B = passes.on(opening_H.device, np.array([len(row) + 1.0 for row in rows], np.float32))
    shares_B = passes.on(opening_H.device, np.array([len(own[0].ids) + 1.0 for own in parts], np.float32)) / lengths_B
    states_BMH, summary_BH = found.states_BMH, found.summary_BH * shares_B[:, None]
    for number in range(1, max(map(len, parts))):
        alive_A = [row for row, own in enumerate(parts) if len(own) > number]
        now, at_A = [parts[row][number] for row in alive_A], torch.tensor(alive_A, device=opening_H.device)
        added = _segment(role, now, states_BMH.index_select(0, at_A), opening_H, memory_MH, form)
        shares_A = passes.on(opening_H.device, np.array([len(part.ids) for part in now], np.float32)) / lengths_B[at_A]
        states_BMH = states_BMH.index_add(0, at_A, added.states_BMH)
        summary_BH = summary_BH.index_add(0, at_A, added.summary_BH * shares_A[:, None])
    mask_BM = passes.on(opening_H.device, np.arange(form.slots)[None] < np.array(counts)[:, None])
    return Memories(states_BMH, mask_BM, summary_BH)


def _segment(
    role: Role, now: Sequence[Segment], earlier_AMH: Tensor | None, opening_H: Tensor, memory_MH: Tensor, form: Memory
) -> Memories:
    """Memory vectors of some rows' next segments (zero elsewhere), and the means of the segments' states."""
    ids, counts, first = [part.ids for part in now], [part.slots for part in now], [part.first for part in now]
    spread = form.positions == "spread"
    if earlier_AMH is None:
        return passes.encode(role, layout.documents(ids, counts, form.slots, spread=spread), opening_H, memory_MH)
    where = layout.documents(ids, counts, form.slots, spread=spread, first=first)
    given_P = np.flatnonzero(np.arange(form.slots)[None] < np.array(first)[:, None])
    front_PH = earlier_AMH.flatten(0, 1).index_select(0, passes.on(opening_H.device, given_P))
    return passes.encode(role, where, opening_H, memory_MH, front_PH)
