"""Places documents' memory vectors in the prompts of their rows.

Shapes: D documents of all rows together, M memory slots, H hidden, S vectors of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from reference.model.layout import IGNORED, MEMORY, SEPARATOR
from reference.model.prompts import Encoded


def grouped(items: Sequence[Any], numbers: Sequence[int]) -> list[list[Any]]:
    """Split a flat list into lists of these lengths."""
    return [list(items[start:end]) for start, end in pairwise(accumulate(numbers, initial=0))]


def vectors_of(states_DMH: Tensor, counts: Sequence[Sequence[int]]) -> list[Tensor]:
    """Each row's memory vectors (S, H), document by document, without unused slots."""
    slots = states_DMH.shape[1]
    flat = [count for row in counts for count in row]
    vectors_SH = states_DMH.flatten(0, 1)
    if any(count != slots for count in flat):
        places = [document * slots + slot for document, count in enumerate(flat) for slot in range(count)]
        vectors_SH = vectors_SH.index_select(0, torch.tensor(places, device=vectors_SH.device))
    return list(vectors_SH.split([sum(row) for row in counts]))


def with_memories(row: Encoded, counts: Sequence[int]) -> Encoded:
    """Insert each chosen document's memory places before its SEPARATOR."""
    at = [place for place, token in enumerate(row.ids) if token == SEPARATOR]
    ids, segments, labels, weights = list(row.ids), list(row.segments), list(row.labels), list(row.weights)
    for place, count in reversed(list(zip(at, counts, strict=True))):
        ids[place:place] = [MEMORY] * count
        segments[place:place] = [segments[place]] * count
        labels[place:place] = [IGNORED] * count
        weights[place:place] = [0.0] * count
    return Encoded(ids, segments, labels, weights)
