"""Descriptions of components for leaderboards."""

from __future__ import annotations

from clara_bench.components.identity import described
from clara_bench.types import Reader, Traits


def backbone(reader: object) -> str:
    """The name of the language model behind a reader, short enough for a table."""
    model = str(described(reader).get("model", type(reader).__name__))
    return model.rstrip("/").rsplit("/", 1)[-1]


def reading(reader: Reader) -> Traits:
    """The columns that a reader decides, by its attributes `tuned` and `token_counts`, if it has them."""
    tuned = bool(getattr(reader, "tuned", False))
    return Traits(
        backbone=backbone(reader),
        reader="tuned" if tuned else "frozen",
        weights="ours" if tuned else "zero-shot",
        token_counts=getattr(reader, "token_counts", ""),
    )


def prepare(*components: object) -> None:
    """Let each component that can (`prepare()`) load its models now, so that no question pays for it."""
    for component in components:
        load = getattr(component, "prepare", None)
        if load is not None:
            load()
