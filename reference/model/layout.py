"""The place of every token, memory vector and target in a batch: index arithmetic in numpy, before any tensor work.

A document row is [opening] bos text eos followed by its memory slots. Two layouts:
`bucketed` starts every row at column 0 and pads behind the memory, which a causal model cannot see, so that no
attention mask is needed and rows of like length waste little; `padded` left-pads to document_tokens + 3 columns and
puts the memory in the last ones, as the released code does. Both give the same memories.

Shapes: B rows, T columns, M memory slots, P places in the flattened (B*T) batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MEMORY = -1
"""Stands in a list of ids for a memory vector."""
SEPARATOR = -2
"""Stands in a list of ids for the vector that closes a document's memories."""
IGNORED = -100
"""Stands in a list of labels where nothing is to be predicted."""
PADDING = -(10**9)
"""Stands in a list of segments where there is no token."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Documents(NamedTuple):
    """A batch of documents."""

    ids_BT: Ints
    """0 where there is no token."""
    front_BT: Bools
    """Places of vectors of earlier slots, in rows that continue a document."""
    text_BT: Bools
    """Places of the document, its opening and special tokens included, without memories and padding."""
    memory_BT: Bools
    slots_BM: Bools
    """The memory slots that each document uses."""
    positions_BT: Ints
    pooled: bool
    """Whether memories are means of the text's own states, and therefore have no places."""
    bare: bool
    """Whether the opening is left out of these means."""
    last: bool
    """Whether memories are the states of the last tokens of these parts, not their means."""
    plain: bool
    """Whether a causal model needs neither a mask nor positions: all rows start at column 0."""
    chosen: Sequence[Sequence[int]] = ()
    """The token of each row that each memory is made of, counted without the opening; none where parts are."""

    @property
    def opening_P(self) -> Ints:
        """Places of the opening vector, one per row that begins a document."""
        return self.text_BT.argmax(1) + np.arange(len(self.text_BT)) * self.text_BT.shape[1]

    @property
    def front_P(self) -> Ints:
        """Places of earlier slots' vectors, row by row."""
        return np.flatnonzero(self.front_BT)

    @property
    def memory_P(self) -> Ints:
        """Places of the memory vectors, row by row."""
        return np.flatnonzero(self.memory_BT)

    @property
    def shares_BMT(self) -> NDArray[np.float32]:
        """The weight of each token in each memory: of its part, as many equal ones as slots, or of the chosen one."""
        if self.chosen:
            return self._chosen_BMT()
        own_BT = self.text_BT.copy()
        if self.bare:
            own_BT.flat[self.opening_P] = False
        ends_BT = own_BT.cumsum(1)[:, None]
        slots_1M1 = np.arange(self.slots_BM.shape[1])[None, :, None]
        lengths_B11, counts_B11 = ends_BT[:, :, -1:], self.slots_BM.sum(1)[:, None, None]
        starts_BM1 = slots_1M1 * lengths_B11 // counts_B11
        stops_BM1 = np.maximum((slots_1M1 + 1) * lengths_B11 // counts_B11, starts_BM1 + 1)
        inside_BMT = (ends_BT > starts_BM1) & (ends_BT <= stops_BM1) & own_BT[:, None] & self.slots_BM[:, :, None]
        if self.last:
            return (inside_BMT & (ends_BT == stops_BM1)).astype(np.float32)
        return (inside_BMT / np.maximum(stops_BM1 - starts_BM1, 1)).astype(np.float32)

    def _chosen_BMT(self) -> NDArray[np.float32]:
        shares_BMT = np.zeros((*self.slots_BM.shape, self.text_BT.shape[1]), np.float32)
        for row, (places, opening) in enumerate(zip(self.chosen, self.text_BT.argmax(1), strict=True)):
            shares_BMT[row, np.arange(len(places)), opening + 1 + np.array(places)] = 1
        return shares_BMT

    @property
    def attended_BT(self) -> Bools:
        """The attention mask."""
        return self.front_BT | self.text_BT | self.memory_BT


def documents(
    rows: Sequence[Sequence[int]],
    counts: Sequence[int],
    slots: int,
    left: int | None = None,
    spread: bool = False,
    pooled: bool = False,
    bare: bool = False,
    first: Sequence[int] | None = None,
    last: bool = False,
    chosen: Sequence[Sequence[int]] = (),
) -> Documents:
    """Lay out documents.

    Args:
        rows: ids of each document with its special tokens, without the opening.
        counts: number of memory vectors of each document.
        slots: most memory vectors of a document, M.
        left: columns before the memory in the padded layout; None for the bucketed one.
        spread: spread the positions of memory slots evenly over the document, instead of placing them after it.
        pooled: leave no places for memory slots.
        bare: leave the opening out of pooled memories.
        first: the first memory slot of each row, where all rows go on with a document whose earlier slots have vectors;
            these stand in front of the row, in the opening's place. None where every row begins a document.
        last: pooled memories are the states of the last tokens of their parts.
        chosen: pooled memories are those of these tokens of each row, as many as its count.
    """
    first_B1 = np.zeros((len(rows), 1), np.int64) if first is None else np.array(first)[:, None]
    opened = int(first is None)
    lengths_B1 = np.array([[len(row) + opened] for row in rows])
    counts_B1 = np.array(counts)[:, None]
    places_B1 = np.zeros_like(counts_B1) if pooled else counts_B1
    starts_B1 = np.zeros_like(lengths_B1) if left is None else left - lengths_B1
    texts_B1 = starts_B1 + first_B1
    ends_B1 = texts_B1 + lengths_B1
    columns_1T = np.arange(int((first_B1 + lengths_B1 + places_B1).max()) if left is None else left + slots)[None]
    front_BT = (columns_1T >= starts_B1) & (columns_1T < texts_B1)
    text_BT = (columns_1T >= texts_B1) & (columns_1T < ends_B1)
    ids_BT = np.zeros(text_BT.shape, np.int64)
    ids_BT[text_BT & (columns_1T >= texts_B1 + opened)] = np.fromiter(
        (token for row in rows for token in row), np.int64
    )
    memory_BT = (columns_1T >= ends_B1) & (columns_1T < ends_B1 + places_B1)
    slots_BM = (np.arange(slots)[None] >= first_B1) & (np.arange(slots)[None] < first_B1 + counts_B1)
    positions_BT = np.maximum(columns_1T - starts_B1, 0)
    if spread:
        part_BT = np.maximum(columns_1T - ends_B1 + 1, 0) * lengths_B1 // counts_B1
        positions_BT = np.where(memory_BT, first_B1 + part_BT, positions_BT)
    plain = left is None and not spread
    return Documents(ids_BT, front_BT, text_BT, memory_BT, slots_BM, positions_BT, pooled, bare, last, plain, chosen)


def pad(rows: Sequence[Sequence[int]], value: int = 0, left: bool = False) -> Ints:
    """Rows as one array (B, T), padded to the longest."""
    lengths_B1 = np.array([[len(row)] for row in rows])
    width = int(lengths_B1.max())
    columns_1T = np.arange(width)[None]
    out_BT = np.full((len(rows), width), value, np.int64)
    inside_BT = columns_1T >= width - lengths_B1 if left else columns_1T < lengths_B1
    out_BT[inside_BT] = np.fromiter((token for row in rows for token in row), np.int64)
    return out_BT


def visible(segments_BT: Ints) -> tuple[Bools, Ints]:
    """Which places each place of a prompt attends to in block attention, and its position.

    A block attends to itself and what precedes all blocks; a question to itself and all blocks. Every block counts
    on from what stands before them, every question from the longest block, so that neither the order nor the number
    of passages moves anything (positions as in parallel context windows; Ratner et al., ACL 2023).

    Args:
        segments_BT: 0 before the blocks, n in the nth block, -n in the nth question; each in one run.

    Returns:
        mask_BTT, True where row t sees column u, and positions_BT.
    """
    own_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    before_B1T = segments_BT[:, None, :] == 0
    asking_BTT = (segments_BT[:, :, None] < 0) & (segments_BT[:, None, :] > 0)
    width = segments_BT.shape[1]
    mask_BTT = np.tri(width, dtype=bool) & (own_BTT | before_B1T | asking_BTT)
    columns_BT = np.broadcast_to(np.arange(width), segments_BT.shape)
    first_BT = np.diff(segments_BT, axis=1, prepend=np.iinfo(np.int64).min) != 0
    offsets_BT = columns_BT - np.maximum.accumulate(np.where(first_BT, columns_BT, 0), axis=1)
    opening_B1 = (segments_BT == 0).sum(1, keepdims=True)
    longest_B1 = np.where(segments_BT > 0, offsets_BT + 1, 0).max(1, keepdims=True)
    return mask_BTT, offsets_BT + opening_B1 * (segments_BT != 0) + longest_B1 * (segments_BT < 0)


class Targets(NamedTuple):
    """The prediction targets of a batch of rows."""

    places_P: Ints
    """In the flattened batch, the positions whose next token is a target."""
    labels_P: Ints
    weights_P: NDArray[np.float32]
    rows_P: Ints


def targets(labels: Sequence[Sequence[int]], weights: Sequence[Sequence[float]], width: int) -> Targets:
    """Targets of rows that start at column 0 of a batch `width` columns wide; IGNORED labels are none."""
    rows = [np.flatnonzero(np.asarray(row[1:], np.int64) != IGNORED) for row in labels]
    pick = [np.asarray(values[1:])[at] for values, at in zip(labels, rows, strict=True)]
    weigh = [np.asarray(values[1:], np.float32)[at] for values, at in zip(weights, rows, strict=True)]
    places = [at + number * width for number, at in enumerate(rows)]
    numbers = [np.full(len(at), number) for number, at in enumerate(rows)]
    return Targets(
        np.concatenate(places).astype(np.int64),
        np.concatenate(pick).astype(np.int64),
        np.concatenate(weigh).astype(np.float32),
        np.concatenate(numbers).astype(np.int64),
    )


def parts(lengths: Sequence[int], rows_a_part: int, most: int = 4) -> list[list[int]]:
    """Split rows by length into equal parts, whose number depends on the number of rows alone.

    Under ZeRO-3 every rank must run the same number of forward passes, whatever the lengths are.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    number = max(1, min(most, len(order) // rows_a_part))
    edges = [round(len(order) * part / number) for part in range(number + 1)]
    return [order[start:end] for start, end in pairwise(edges)]


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Rows of similar length, longest first, in batches of at most `tokens` with their padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
