"""clara-bench: text RAG, text compressors and latent compressors on the same questions, with the same metrics.

These names are the plug-in API; everything else may change between versions.
"""

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
