"""The manifest of a checkpoint: settings, backbone, checksums, training history."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from clara_bench import ConfigError
from clara_bench.io.parsing import convert, read_json
from reference.settings.config import ModelConfig

SCHEMA = 1
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contents of a checkpoint."""

    schema: Literal[1] = 1
    model: ModelConfig
    backbone: str
    """Fingerprint of the backbone that the weights belong to."""
    slots: int
    """Memory vectors of the longest document."""
    roles: tuple[str, ...]
    parameters: dict[str, int]
    """Number of each role's own parameters."""
    sha256: dict[str, str]
    """Of every file of weights."""
    packages: dict[str, str]
    training: dict[str, Any] = {}
    """Training history: command, stage, seed, step, data, and anything else the caller wants to keep."""


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a checkpoint folder.

    Raises:
        ConfigError: no checkpoint, not one of this schema, or its settings are not valid.
    """
    path = folder / MANIFEST
    tables: Any = read_json(path, Any, "Expected the folder of a checkpoint from training", ConfigError)
    found = tables.get("schema") if isinstance(tables, dict) else None
    if found != SCHEMA:
        raise ConfigError(f"{path}: schema {found}, this version reads {SCHEMA}. Train or export it again")
    return convert(tables, Manifest, str(path), error=ConfigError)
