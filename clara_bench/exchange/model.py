"""The model of a run, as other formats ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clara_bench.records.manifest import Manifest


def model_of(manifest: Manifest) -> str:
    """The reader's model as the run names it; else the declared backbone, else the system's label."""
    found = _model(manifest["models"])
    return found or manifest["traits"].get("backbone") or manifest["system"]["label"]


def _model(described: Any) -> str:
    """The first `model` at the top, or of the reader; other components have models too, and are not asked."""
    if not isinstance(described, Mapping):
        return ""
    return str(described.get("model") or "") or _model(described.get("reader"))


def reader_of(manifest: Manifest) -> str:
    """The name of the reader component; "" where the system has none by that name."""
    reader = manifest["system"]["options"].get("reader")
    return str(reader.get("name", "")) if isinstance(reader, Mapping) else ""
