"""clara-bench: text RAG, text compressors and latent compressors on the same questions, with the same metrics.

These names are the plug-in API; everything else may change between versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clara_bench.components.registry import OPERATIONAL, Component, create
    from clara_bench.errors import BackendError, BenchError, ConfigError, DataError, MissingDependency
    from clara_bench.types import (
        Answer,
        Answered,
        Compressor,
        Example,
        Fact,
        Gold,
        IndexStats,
        Passage,
        Question,
        Ranked,
        Reader,
        Reading,
        Retriever,
        System,
        Traits,
        Triple,
        Usage,
        Verdict,
    )

__version__ = "0.1.0"

__all__ = [
    "OPERATIONAL", "Answer", "Answered", "BackendError", "BenchError", "Component", "Compressor", "ConfigError",
    "DataError", "Example", "Fact", "Gold", "IndexStats", "MissingDependency", "Passage", "Question", "Ranked",
    "Reader", "Reading", "Retriever", "System", "Traits", "Triple", "Usage", "Verdict", "create",
]  # fmt: skip

_MOVED = {"provenance": "clara_bench.running.provenance", "runner": "clara_bench.running.runner"}
"""Modules by the names that they had before; programs that import them go on working."""


def __getattr__(name: str) -> Any:
    """Import a name at its first use, so that a program that imports this package can catch Ctrl-C from the start."""
    from importlib import import_module

    if name in _MOVED:
        return import_module(_MOVED[name])
    for module in ("types", "errors", "components.registry") if name in __all__ else ():
        found = import_module(f"clara_bench.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(f"module 'clara_bench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
