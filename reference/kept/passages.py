"""Keys and values of passages in a frozen generator's attention layers.

With block attention a passage sees the opening of the prompt and itself, so its keys and values are the same in every
prompt, wherever it stands and whatever is asked.

Shapes: B passages, M memory vectors, H hidden, T places of a prompt, O of its opening, P of a passage (its memory
vectors and the separator, padded to the longest), L layers, X keys and values (2), A heads of keys, D size of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clara_bench.read import attention
from reference.model.clara import Clara
from reference.model.roles import Role

Memories = Callable[[Sequence[str]], Sequence[Tensor]]
"""Memory vectors (M, H) of documents by their texts."""
AT_ONCE = 256
"""Passages in one forward pass."""


class Passages:
    """Keys and values by a passage's text; emptied when full, so that a step's passages always fit."""

    def __init__(self, model: Clara, most_bytes: int = 0) -> None:
        """Args: `most_bytes` are kept from one step to the next; 0 makes all anew in each step."""
        self._model, self._most_bytes = model, most_bytes
        self._held: dict[str, Tensor] = {}
        self._opening: tuple[list[int], Tensor] | None = None

    def begin_step(self) -> None:
        """Forget what may not be kept, so that a step without room for more depends on itself alone."""
        if not self._most_bytes:
            self._held.clear()

    def opening(self, ids: Sequence[int]) -> Tensor:
        """Keys and values of what stands before all passages: (L, X, A, O, D)."""
        if self._opening is None or self._opening[0] != list(ids):
            role = self._role
            self._held.clear()  # what a passage sees has changed
            embedded_1OH = role.embed(torch.tensor([list(ids)], dtype=torch.long, device=self._model.device))
            self._opening = list(ids), _prefilled(role, embedded_1OH, len(ids))[0]
        return self._opening[1]

    def __call__(self, texts: Sequence[str], memories: Memories) -> list[Tensor]:
        """Keys and values (L, X, A, P, D) of passages, after `opening` was called.

        Args:
            texts: of the passages.
            memories: gives the memory vectors (M, H) of those not held.
        """
        new = list(dict.fromkeys(text for text in texts if text not in self._held))
        if new and self._bytes(len(self._held) + len(new)) > self._most_bytes:
            self._held.clear()
            new = list(dict.fromkeys(texts))
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            self._held |= zip(part, self._made(memories(part)), strict=True)
        return [self._held[text] for text in texts]

    @property
    def _role(self) -> Role:
        return self._model.role("generator")

    def _bytes(self, passages: int) -> int:
        one = next(iter(self._held.values()), None)
        return 0 if one is None else passages * one.numel() * one.element_size()

    def _made(self, memories: Sequence[Tensor]) -> Tensor:
        """Keys and values of some passages (B, L, X, A, P, D)."""
        assert self._opening is not None, "the opening comes first"
        ids, separator_H = self._opening[0], self._model.separator
        device, dtype = self._model.device, separator_H.dtype
        rows = [torch.cat([memory_MH.to(device, dtype), separator_H.detach()[None]]) for memory_MH in memories]
        passages_BPH = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        missing = self._model.config.memory.slots + 1 - passages_BPH.shape[1]
        passages_BPH = nn.functional.pad(passages_BPH, (0, 0, 0, missing))
        opening_1OH = self._role.embed(torch.tensor([ids], dtype=torch.long, device=device))
        prompt_BTH = torch.cat([opening_1OH.expand(len(rows), -1, -1), passages_BPH.to(opening_1OH.dtype)], 1)
        return _prefilled(self._role, prompt_BTH, prompt_BTH.shape[1])[..., len(ids) :, :].contiguous()


@torch.no_grad()
def _prefilled(role: Role, embeddings_BTH: Tensor, width: int) -> Tensor:
    """Keys and values of prompts: (B, L, X, A, T, D). Padding stands behind, where a causal model cannot see it."""
    if not width:
        return embeddings_BTH.new_zeros(1, 0, 2, 0, 0, 0)
    cache: Any = role(embeddings_BTH, use_cache=True)[1]
    layers = [torch.stack([layer.keys, layer.values], 1) for layer in cache.layers]
    return torch.stack(layers, 1)


def possible(model: Clara) -> bool:
    """Whether the generator's attention lets passages' keys and values be kept."""
    backbone = model.role("generator").lm.base_model if "generator" in model.roles else model.backbone.base_model
    return model.config.attention == "block" and attention.keeps_cache(backbone)
