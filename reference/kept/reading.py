"""Reading with kept keys and values: only a question's and its answer's own places go through the layers.

Shapes: B rows, N passages, T places of a question and its answer, O of the opening, P of a passage, S of all passages
and the opening, L layers, X keys and values (2), A heads of keys, D size of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reference.kept.passages import Memories, Passages
from reference.model import layout
from reference.model.clara import Clara
from reference.model.passes import Predictions, on
from reference.model.prompts import Encoded


class Asked:
    """What follows the passages in some prompts: questions with their answers."""

    def __init__(self, rows: Sequence[Encoded]) -> None:
        """Args: `rows` have one question each, and the same opening."""
        self.opening = [token for token, part in zip(rows[0].ids, rows[0].segments, strict=True) if part == 0]
        ids, labels, weights = [], [], []
        for row in rows:
            at = row.segments.index(-1)
            assert row.ids[: len(self.opening)] == self.opening and 0 not in row.segments[len(self.opening) :]
            assert row.labels[at] == layout.IGNORED, "the first place is predicted from what stands before it"
            ids.append(row.ids[at:])
            labels.append(row.labels[at:])
            weights.append(row.weights[at:])
        self.ids_BT = layout.pad(ids)
        self.lengths = [len(own) for own in ids]
        self.aim = layout.targets(labels, weights, self.ids_BT.shape[1])


def read(
    model: Clara,
    asked: Asked,
    passages: Sequence[Sequence[Tensor]],
    counts: Sequence[Sequence[int]],
    opening: Tensor,
    logs_BN: Tensor | None = None,
) -> Predictions:
    """The predictions of `Clara.read`, for prompts whose passages' keys and values are given.

    Args:
        model: its generator reads; its weights have no gradient.
        asked: what follows the passages.
        passages: keys and values of each row's, in order.
        counts: memory vectors of each.
        opening: keys and values of what stands before the passages.
        logs_BN: what is added to the attention that each passage gets, with its gradient; None reads all alike.
    """
    from transformers import DynamicCache

    role = model.role("generator")
    cache = DynamicCache()
    for number, (keys, values) in enumerate(_joined(passages, opening).unbind(0)):
        cache.update(keys, values, number)
    embeddings_BTH = role.embed(on(model.device, asked.ids_BT))
    seen_BTS = _sight(asked, counts, opening.shape[-2], model.config.memory.slots + 1, logs_BN, embeddings_BTH)
    longest_B1 = np.array([[max(own, default=-1) + 1] for own in counts])
    positions_BT = len(asked.opening) + longest_B1 + np.arange(asked.ids_BT.shape[1])[None]
    states_BTH = role(embeddings_BTH, seen_BTS[:, None], on(model.device, positions_BT), cache, use_cache=True)[0]
    logits_PV = role.logits(states_BTH.flatten(0, 1).index_select(0, on(model.device, asked.aim.places_P)))
    return Predictions(logits_PV, *(on(model.device, part) for part in asked.aim[1:]))


def _joined(passages: Sequence[Sequence[Tensor]], opening: Tensor) -> Tensor:
    """Keys and values of whole rows (L, X, B, A, S, D); rows with fewer passages are padded."""
    most = max(len(row) for row in passages)
    padding = torch.zeros_like(passages[0][0])
    flat = torch.stack([one for row in passages for one in (*row, *[padding] * (most - len(row)))])
    rows = flat.unflatten(0, (len(passages), most)).permute(2, 3, 0, 4, 1, 5, 6).flatten(4, 5)  # (L, X, B, A, N*P, D)
    if not opening.numel():
        return rows
    return torch.cat([opening[:, :, None].expand(-1, -1, len(passages), -1, -1, -1), rows], 4)


def _sight(
    asked: Asked, counts: Sequence[Sequence[int]], opened: int, width: int, logs_BN: Tensor | None, like: Tensor
) -> Tensor:
    """What is added to attention scores: (B, T, S + T)."""
    rows, most = len(counts), max(len(row) for row in counts)
    there_BNP = np.zeros((rows, most, width), bool)
    for row, own in enumerate(counts):
        for place, count in enumerate(own):
            there_BNP[row, place, : count + 1] = True
    tokens = asked.ids_BT.shape[1]
    before_BS = np.concatenate([np.ones((rows, opened), bool), there_BNP.reshape(rows, -1)], 1)
    before_BTS = np.broadcast_to(before_BS[:, None], (rows, tokens, before_BS.shape[1]))
    causal_BTT = np.broadcast_to(np.tri(tokens, dtype=bool), (rows, tokens, tokens))
    hidden_BTS = on(like.device, ~np.concatenate([before_BTS, causal_BTT], 2))
    added_BTS = torch.zeros(hidden_BTS.shape, dtype=like.dtype, device=like.device)
    if logs_BN is not None:
        gates_BS = logs_BN[:, :most].repeat_interleave(width, 1)
        added_BTS = added_BTS + torch.nn.functional.pad(gates_BS, (opened, tokens)).to(like.dtype)[:, None]
    return added_BTS.masked_fill(hidden_BTS, torch.finfo(like.dtype).min)


class KeptReader:
    """A frozen generator that reads documents by their texts, over kept keys and values."""

    def __init__(self, model: Clara, memories: Memories, most_bytes: int = 0) -> None:
        """Args: see `Passages`; `memories` of documents by their texts."""
        self._model, self._memories = model, memories
        self._passages = Passages(model, most_bytes)

    def begin_step(self) -> None:
        """See `Passages.begin_step`."""
        self._passages.begin_step()

    def __call__(
        self,
        rows: Sequence[Encoded],
        documents: Sequence[Sequence[str]],
        counts: Sequence[Sequence[int]],
        logs_BN: Tensor | None = None,
    ) -> Predictions:
        """Predict the targets of rows.

        Args:
            rows: prompts; what stands for documents in them does not matter.
            documents: texts of those that each row reads, in order.
            counts: memory vectors of each.
            logs_BN: see `read`.
        """
        asked = Asked(rows)
        opening = self._passages.opening(asked.opening)
        flat = iter(self._passages([text for row in documents for text in row], self._memories))
        passages = [[next(flat) for _ in row] for row in documents]
        return read(self._model, asked, passages, counts, opening, logs_BN)
