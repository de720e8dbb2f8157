"""Rotary position embeddings (RoPE, arXiv 2104.09864): keys and queries moved to other positions.

A rotated key at position p becomes one at position p + d by a further rotation, by d times each frequency; nothing else
in a model with such embeddings depends on the position. Shapes: N tokens, D numbers of a head, F frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clara_bench.errors import BackendError
from clara_bench.read.attention import held, kept

SHIFT = 16
"""Positions by which a model's keys are moved to test that moving them works."""
TOLERANCE = 0.5
"""How far moved keys may be from computed ones, by how far they would be unmoved: bfloat16 rounds coarsely."""


@dataclass(frozen=True, slots=True)
class Rotary:
    """The rotation of one model, the same in all layers and heads."""

    frequencies_F: Tensor
    """Radians for one position, float32, one for each pair of numbers."""

    def move(self, states: Tensor, by: Tensor | int) -> Tensor:
        """Keys or queries (..., N, D) moved by so many positions (..., N); by none, they stay as they are, exactly."""
        steps = torch.as_tensor(by, device=states.device)
        angles = steps[..., None].float() * self.frequencies_F.to(states.device)
        return self.turn(states, angles.cos(), angles.sin())

    def turn(self, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Each pair of numbers multiplied by its cosine and sine (..., F), in float32; numbers without a pair stay."""
        pairs = len(self.frequencies_F)
        first, second, rest = states[..., :pairs], states[..., pairs : 2 * pairs], states[..., 2 * pairs :]
        a, b = first.float(), second.float()
        turned = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        return torch.cat([turned.to(states.dtype), rest], -1)

    @classmethod
    @torch.inference_mode()
    def of(cls, model: Any, name: str) -> Rotary:
        """The rotation of a model, tried out: its keys at one position, moved, must be those at another.

        Raises:
            BackendError: the model has no rotary embeddings, or others than these.
        """
        found = [part.inv_freq for part in model.modules() if isinstance(getattr(part, "inv_freq", None), Tensor)]
        needed = f"model '{name}': system 'kv' needs rotary position embeddings, the same in all layers, as Llama has"
        if not found:
            raise BackendError(f"{needed}; it has none. Choose another model")
        rotary = cls(found[0].detach().float())
        ids = torch.arange(8, device=model.device)[None]
        near, far = (held(kept(model(ids, position_ids=ids + shift, use_cache=True))) for shift in (0, SHIFT))
        for (keys, _), (expected, _) in zip(near, far, strict=True):
            moved, unmoved = ((to.float() - expected.float()).norm() for to in (rotary.move(keys, SHIFT), keys))
            if not moved < TOLERANCE * unmoved:
                raise BackendError(f"{needed}; its keys cannot be moved. Choose another model")
        return rotary
