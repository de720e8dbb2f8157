"""The manifest of a run: all it takes to repeat it; the keys that are read again are checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

import msgspec

from clara_bench.cache import digest, write_atomic
from clara_bench.errors import DataError
from clara_bench.parsing import read_json, refusing
from clara_bench.types import Setting

SCHEMA = 2
"""Version of the layout of a run's files. Of schema 1, which carries no digest and another identity, are the first runs
that were published; they are read and scored like any."""

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

    schema: int
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
    if found not in (1, SCHEMA):
        raise DataError(
            f"{file}: schema {found!r}, expected {SCHEMA}. It was written by another version of clara-bench"
        )
    if found == SCHEMA and manifest.get("digest") != digest_of(manifest):
        raise DataError(
            f"{file}: its digest is not that of its content: it was edited or damaged. Put the file back as it was "
            "written, or run again with another --out"
        )
    with refusing(str(file), "Put the file back as it was written"):
        msgspec.convert(manifest, Manifest)
    return cast(Manifest, manifest)


def write_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest whole or not at all, with a digest over itself."""
    content = {**manifest, "schema": SCHEMA}
    write_atomic(file, json_bytes({**content, "digest": digest_of(content)}))


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over everything in a manifest but this digest."""
    content = {key: value for key, value in manifest.items() if key != "digest"}
    return digest([msgspec.json.encode(content, order="deterministic")])


def json_bytes(value: Any) -> bytes:
    """Indented JSON with a final newline; the same value always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
