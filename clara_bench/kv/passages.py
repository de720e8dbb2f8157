"""Passages as keys and values: each read by the model after the beginning of the prompt, then thinned by a press.

Shapes: L layers, H heads of keys, Q of queries, P positions before the passage, N tokens of it, M of them kept, D
numbers of a head.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from clara_bench.errors import BackendError
from clara_bench.io.cache import digest
from clara_bench.kv.presses import PRESSES, Layer, PressName, Repeated
from clara_bench.kv.rotary import Rotary
from clara_bench.read.attention import held, kept
from clara_bench.read.generate import forward

Positions = Literal["original", "consecutive"]
"""Of what is kept: as in the full text, with gaps where tokens were dropped; or counted through, keys rotated so."""


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a prompt, before the passages: the same for all questions, and kept whole."""

    ids: tuple[int, ...]
    keys_LHPD: Tensor
    values_LHPD: Tensor

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Pressed:
    """What is kept of a passage."""

    keys_LHMD: Tensor
    """Rotated to positions from the end of the prompt's beginning on."""
    values_LHMD: Tensor
    length: int
    """Positions up to the next passage."""
    tokens: int
    """Of the whole passage."""
    seconds: float
    """That reading and thinning it took."""

    @property
    def size(self) -> int:
        """Positions kept."""
        return self.keys_LHMD.shape[2]

    @property
    def bytes(self) -> int:
        """Size of keys and values."""
        return 2 * self.keys_LHMD.nbytes


@dataclass(frozen=True, slots=True)
class Method:
    """How passages are compressed."""

    press: PressName
    rate: float
    """4 keeps a quarter of the positions."""
    positions: Positions
    seed: int
    """Of the press `random`."""

    def budget(self, tokens: int) -> int:
        """Positions kept of so many tokens, at least one.

        >>> Method("knorm", 8.0, "original", 0).budget(100), Method("knorm", 8.0, "original", 0).budget(3)
        (12, 1)
        """
        return min(tokens, max(1, math.floor(tokens / self.rate)))

    def length(self, tokens: int) -> int:
        """Positions that a passage of so many tokens takes up."""
        return self.budget(tokens) if self.positions == "consecutive" else tokens


@dataclass(frozen=True, slots=True)
class Presser:
    """A model and how its keys and values are compressed."""

    model: Any
    rotary: Rotary
    method: Method
    repeat: tuple[int, ...]
    """Tokens that ask the model to repeat what it has read, for `kvzip`."""

    @torch.inference_mode()
    def start(self, ids: Sequence[int]) -> Start:
        """Read the beginning of a prompt; it may be empty."""
        read = torch.tensor([list(ids) or [0]], device=self.model.device)
        layers = held(kept(self.model(read, use_cache=True)))
        keys, values = (torch.stack([layer[part][0, :, : len(ids)] for layer in layers]) for part in (0, 1))
        return Start(tuple(ids), keys, values)

    @torch.inference_mode()
    def __call__(self, start: Start, ids: Sequence[int]) -> Pressed:
        """Read a passage after the beginning of the prompt, and keep what the press keeps."""
        began, stays = time.perf_counter(), self.method.budget(len(ids))
        cache = filled(start.keys_LHPD[:, None], start.values_LHPD[:, None])
        with tapped(self.model) as states:
            self._read(cache, ids, len(start))
        layers = [(keys[0, :, len(start) :], values[0, :, len(start) :]) for keys, values in held(cache)]
        if stays < len(ids):
            repeated = self._repeated(cache, ids, len(start)) if self.method.press == "kvzip" else None
            draw = torch.Generator().manual_seed(int(digest([str(self.method.seed), *map(str, ids)])[:15], 16))
            for layer, (keys, values) in enumerate(layers):
                again = repeated[layer] if repeated else None
                queries, scale = states[layer]
                before = start.keys_LHPD[layer]
                seen = Layer(queries, keys, values, before, stays, scale, self.rotary, draw, again)
                layers[layer] = self._thinned(seen)
        keys, values = (torch.stack([pair[part] for pair in layers]) for part in (0, 1))
        return Pressed(keys, values, self.method.length(len(ids)), len(ids), time.perf_counter() - began)

    def _thinned(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Keys and values (H, M, D) that stay, in their order."""
        places_HM = PRESSES[self.method.press](layer).topk(layer.budget, dim=-1).indices.sort(-1).values
        keys, values = (
            states.gather(1, places_HM[..., None].expand(-1, -1, states.shape[-1]))
            for states in (layer.keys_HND, layer.values_HND)
        )
        if self.method.positions == "original":
            return keys, values
        return self.rotary.move(keys, torch.arange(layer.budget, device=keys.device) - places_HM), values

    def _read(self, cache: Any, ids: Sequence[int], at: int) -> None:
        """Let the model read tokens from a position on; the cache grows by them."""
        ids_1T = torch.tensor([list(ids)], device=self.model.device)
        end = at + len(ids)
        mask_1S = torch.ones(1, end, dtype=torch.long, device=self.model.device)
        forward(self.model, ids_1T, mask_1S, torch.arange(at, end, device=self.model.device)[None], cache)

    def _repeated(self, cache: Any, ids: Sequence[int], start: int) -> list[Repeated]:
        """The states of each layer while the model is made to repeat the passage."""
        said = [*self.repeat, *ids]
        with tapped(self.model) as states:
            self._read(cache, said, start + len(ids))
        keys = [keys[0, :, -len(said) :] for keys, _ in held(cache)]
        return [Repeated(states[layer][0], one) for layer, one in enumerate(keys)]


def filled(keys: Tensor, values: Tensor) -> Any:
    """A cache of a model that holds these keys and values (L, B, H, S, D)."""
    from transformers import DynamicCache

    cache = DynamicCache()
    if keys.shape[-2]:
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            cache.update(key, value, layer)
    return cache


@contextlib.contextmanager
def tapped(model: Any) -> Iterator[dict[int, tuple[Tensor, float]]]:
    """By layer, the queries (Q, N, D) of one row that the model computes in the block, and what they are scaled by.

    Attention functions of transformers are called with queries as they are used, whatever the architecture.

    Raises:
        BackendError: the model computes attention by itself.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name, states = str(model.config._attn_implementation), dict[int, tuple[Tensor, float]]()
    if name not in ALL_ATTENTION_FUNCTIONS:
        raise BackendError(f"system 'kv' cannot see the queries of attention '{name}'. Choose a model that has sdpa")
    original = ALL_ATTENTION_FUNCTIONS[name]

    def seen(module: Any, query: Tensor, *args: Any, **kwargs: Any) -> Any:
        scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
        states[module.layer_idx] = query[0], scale
        return original(module, query, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS[name] = seen
    try:
        yield states
    finally:
        ALL_ATTENTION_FUNCTIONS[name] = original
    if not states:
        raise BackendError(f"system 'kv' cannot see the queries of {type(model).__name__}. Choose another model")
