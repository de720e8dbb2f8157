"""The attention cache of a model of transformers: `past_key_values`, which version 5.24 has renamed to `cache`."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_NAMES = ("cache", "past_key_values")


def keeps_cache(model: Any) -> bool:
    """Whether a model has an attention cache; a state space model has another one, which cannot be cut or reordered."""
    return _argument(model.__class__) is not None


def passed(model: Any, cache: Any) -> dict[str, Any]:
    """A cache as an argument of a model's `forward`."""
    return {_argument(model.__class__) or _NAMES[0]: cache}


def kept(output: Any) -> Any:
    """The cache that a model's output holds."""
    return output.cache if hasattr(output, "cache") else output.past_key_values


def held(cache: Any) -> list[tuple[Any, Any]]:
    """Keys and values of each layer of a cache, both (rows, heads, positions, numbers)."""
    if hasattr(cache, "layers"):
        return [(layer.keys, layer.values) for layer in cache.layers]
    return list(zip(cache.key_cache, cache.value_cache, strict=True))  # before transformers 4.54


@functools.cache
def _argument(kind: Any) -> str | None:
    """The name that a class of models has for the cache; None where it keeps none."""
    known = inspect.signature(kind.forward).parameters
    state_space = getattr(kind, "_is_stateful", False) and "position_ids" not in known
    return None if state_space else next((name for name in _NAMES if name in known), None)
