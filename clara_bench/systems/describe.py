"""What a component says of itself, for manifests and leaderboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(component: object) -> Mapping[str, Any]:
    """The component's own `describe()`: model names, fingerprints, prompt version; {} when it has none."""
    own = getattr(component, "describe", None)
    return dict(own()) if callable(own) else {}


def backbone(reader: object) -> str:
    """The name of the language model behind a reader, short enough for a table."""
    model = str(describe(reader).get("model", type(reader).__name__))
    return model.rstrip("/").rsplit("/", 1)[-1]
