"""Candidate documents of a batch: their cached memories, and which of them are relevant.

Shapes: B rows, D documents of all rows together, N candidates, K chosen, M memory slots, H hidden, E = M*H.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reference.data.row import Row
from reference.model.clara import Clara
from reference.objectives.losses import WeightedSum
from reference.objectives.memory_slots import grouped
from reference.selection.topk import Selected

Remembered = Callable[[Sequence[str]], list[Tensor]]
"""Memories (m, H) of documents by their text: a store's `get`, or `Kept`."""


class Kept:
    """A cache of documents' memories in main memory; each document is compressed once."""

    def __init__(self, model: Clara, most: int = 100_000) -> None:
        """Args: `most` documents are kept; the oldest are evicted first."""
        self._model, self._most = model, most
        self._memories: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        """The memories of these texts, in their order."""
        new = list(dict.fromkeys(text for text in texts if text not in self._memories))
        found = {text: self._memories[text] for text in set(texts) - set(new)}
        if new:
            found |= zip(new, (memory.cpu() for memory in self._model.compress(new)), strict=True)
            self._memories |= found
            for text in list(self._memories)[: max(0, len(self._memories) - self._most)]:
                del self._memories[text]
        return [found[text] for text in texts]


class Candidates(NamedTuple):
    """The documents among which each row of a batch chooses; rows with fewer are padded with zeros."""

    memories_BNE: Tensor
    keys_BNE: Tensor
    """The vectors that questions are compared with: the memories, or their means (B, N, H)."""
    mask_BN: Tensor | None
    """False for padding; None where there is none."""
    positives_BN: Tensor
    counts: list[list[int]]
    """Memory vectors of each row's documents."""
    slots: int

    @classmethod
    def of(cls, model: Clara, rows: Sequence[Row], remembered: Remembered) -> Candidates:
        """The candidates of a micro-batch."""
        numbers = [len(row.documents) for row in rows]
        dtype, device = model.separator.dtype, model.device
        found = remembered([document for row in rows for document in row.documents])
        memories = [memory.to(device, non_blocking=True) for memory in found]
        slots = model.config.memory.slots
        states_DMH = nn.utils.rnn.pad_sequence(memories, batch_first=True)
        states_DMH = nn.functional.pad(states_DMH, (0, 0, 0, slots - states_DMH.shape[1]))
        memories_BNE = _padded(states_DMH.flatten(1), numbers)
        same = model.config.memory.similarity == "flattened"
        keys_BNE = memories_BNE if same else _padded(model.flatten(memories).to(dtype), numbers)
        most = max(numbers)
        there = torch.tensor([[n < number for n in range(most)] for number in numbers], device=device)
        positives = [[n in row.positives for n in range(most)] for row in rows]
        return cls(
            memories_BNE,
            keys_BNE,
            None if min(numbers) == most else there,
            torch.tensor(positives, device=device),
            grouped([len(memory) for memory in found], numbers),
            slots,
        )

    def of_rows(self, rows: Sequence[int]) -> Candidates:
        """Those of some rows, which may repeat."""
        at_V = torch.tensor(rows, device=self.memories_BNE.device)
        mask_VN = None if self.mask_BN is None else self.mask_BN[at_V]
        counts = [self.counts[row] for row in rows]
        parts = (self.memories_BNE[at_V], self.keys_BNE[at_V], mask_VN, self.positives_BN[at_V])
        return Candidates(*parts, counts, self.slots)

    def counts_of(self, selected: Selected) -> list[list[int]]:
        """Memory vectors of each chosen document; a mixture has them all."""
        if not selected.hard or all(count == self.slots for row in self.counts for count in row):
            return [[self.slots] * selected.indices_BK.shape[1]] * len(self.counts)
        chosen = selected.indices_BK.tolist()
        return [[counts[n] for n in indices] for counts, indices in zip(self.counts, chosen, strict=True)]

    def recall(self, selected: Selected) -> dict[str, WeightedSum]:
        """Recall of the relevant documents at 1 and at k, over rows whose relevant documents are known."""
        hits_BK = self.positives_BN.gather(1, selected.indices_BK).float()
        relevant_B = self.positives_BN.sum(1).float()
        known = (relevant_B > 0).sum().float()
        depths = sorted({1, hits_BK.shape[1]})
        shares = {k: hits_BK[:, :k].sum(1) / relevant_B.clamp_min(1) for k in depths}
        return {f"recall@{k}": WeightedSum(share_B.sum(), known) for k, share_B in shares.items()}


def _padded(vectors_DE: Tensor, numbers: Sequence[int]) -> Tensor:
    """Vectors of all rows' documents as (B, N, E), padded with zeros."""
    if len(set(numbers)) == 1:
        return vectors_DE.unflatten(0, (len(numbers), -1))
    return nn.utils.rnn.pad_sequence(list(vectors_DE.split(list(numbers))), batch_first=True)
