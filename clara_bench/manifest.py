"""The manifest of a run: all it takes to repeat it; the keys that are read again are checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

import msgspec

from clara_bench.cache import write_atomic
from clara_bench.errors import DataError
from clara_bench.parsing import read_json, refusing
from clara_bench.types import Setting

SCHEMA = 1
"""Version of the layout of a run's files; a reader refuses any other."""

FolderName = Annotated[str, msgspec.Meta(pattern=r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$")]
"""A name that stays where it is put: a manifest may come from a stranger."""


class TaskPart(TypedDict):
    """What a manifest says of the task."""

    name: FolderName
    version: int
    answer_scorer: str
    metrics: list[str]
    main_metric: str


class QuestionsPart(TypedDict):
    """What a manifest says of the questions."""

    count: int
    hash: str


class DataPart(TypedDict):
    """What a manifest says of the data."""

    provenance: dict[str, Any]
    corpus_hash: str


class CandidatesPart(TypedDict):
    """What a manifest says of the passages that could be used."""

    hash: str


class SystemPart(TypedDict):
    """What a manifest says of the system."""

    label: FolderName


class RequestPart(TypedDict):
    """What is read of the request without running it again."""

    seed: int


class Manifest(TypedDict):
    """The keys of a manifest that are read again; there are more, for people."""

    request: RequestPart
    identity: dict[str, Any]
    task: TaskPart
    setting: Setting
    questions: QuestionsPart
    data: DataPart
    candidates: CandidatesPart
    system: SystemPart
    traits: dict[str, Any]
    sessions: list[dict[str, Any]]


def read_manifest(file: Path) -> Manifest:
    """A manifest with all its keys, those that are read again checked.

    Raises:
        DataError: no such file, not JSON, written by another version, or a key is missing or of the wrong type.
    """
    manifest: Any = read_json(file, Any)
    found = manifest.get("schema") if isinstance(manifest, dict) else None
    if found != SCHEMA:
        raise DataError(
            f"{file}: schema {found!r}, expected {SCHEMA}. It was written by another version of clara-bench"
        )
    with refusing(str(file), "Put the file back as it was written"):
        msgspec.convert(manifest, Manifest)
    return cast(Manifest, manifest)


def write_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest whole or not at all."""
    write_atomic(file, json_bytes({"schema": SCHEMA, **manifest}))


def json_bytes(value: Any) -> bytes:
    """Indented JSON with a final newline; the same value always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
