"""The manifest of a run: everything needed to repeat it, with checked keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

import msgspec

from clara_bench.errors import DataError
from clara_bench.io.cache import digest, write_atomic
from clara_bench.io.parsing import convert, read_json, sound
from clara_bench.types import Control, Count, IndexStats, Rank, Seconds, Setting, Traits

SCHEMA = 2
"""Version of the layout of a run's files. Of schema 1, which carries no digest and another identity, are the first runs
that were published; they are read and scored like any."""

FolderName = Annotated[str, msgspec.Meta(pattern=r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$")]
"""A safe file name: a manifest may be untrusted."""


Installed = Annotated[str, msgspec.Meta(pattern=r"^(?!.*\.py\b)")]
"""The name of a metric that is no file of code: scoring a run from somebody else runs none."""


class TaskPart(TypedDict):
    """The part of the task that scoring needs."""

    name: FolderName
    version: Count
    answer_scorer: str
    metrics: list[Installed]
    main_metric: Installed


class QuestionsPart(TypedDict):
    """The questions asked, of those that the data hold."""

    count: Count
    of: Count
    hash: str
    offered: NotRequired[str]
    """Over which passages each could use; the first runs do not say it."""


class FilePart(TypedDict):
    """A file that data came from."""

    role: str
    name: str
    sha256: str
    rows: Count
    documents: NotRequired[Count]
    chunks: NotRequired[dict[str, str | int | None]]


class ProvenancePart(TypedDict):
    """Where data came from: the kind of source, and what it says of itself."""

    source: Literal["worlds", "hub", "files"]
    questions: Count
    passages: Count
    questions_with_missing_gold: NotRequired[Count]
    schema: NotRequired[str]
    config: NotRequired[dict[str, str | int | float]]
    split: NotRequired[str]
    files: NotRequired[list[FilePart]]
    path: NotRequired[str]
    name: NotRequired[str | None]
    revision: NotRequired[str | None]
    warning: NotRequired[str]


class DataPart(TypedDict):
    """The data that the questions are of."""

    provenance: ProvenancePart
    hash: str
    corpus_hash: str


class CandidatesPart(TypedDict):
    """The passages that could be used."""

    hash: str
    passages: Count
    first_stage: str | None


class ComponentPart(TypedDict):
    """A component as it was asked for."""

    name: str
    options: dict[str, str]


class SourcePart(TypedDict):
    """See `sources.Source`."""

    data: str
    corpus: str | None
    aliases: str | None
    split: str
    revision: str | None
    world: dict[str, str]
    chunk: NotRequired[dict[str, str]]


class FirstStagePart(TypedDict):
    """See `first_stage.FirstStage`."""

    retriever: ComponentPart
    depth: Rank


class RequestPart(TypedDict):
    """The requested configuration; see `run_config.Request`."""

    task: str
    system: ComponentPart
    setting: Setting
    source: SourcePart
    label: str
    first_stage: FirstStagePart
    limit: Rank | None
    seed: Count
    complete_gold: bool
    batch: Rank
    sampling: NotRequired[str]
    control: NotRequired[Control | None]
    metrics: NotRequired[list[str]]


class SystemPart(TypedDict):
    """The system, with every option in force."""

    name: str
    label: FolderName
    options: dict[str, Any]


class GitPart(TypedDict):
    """The checkout that the code ran from."""

    commit: str
    dirty: bool


class HardwarePart(TypedDict):
    """What it ran on."""

    processor: str
    cores: Count
    memory_gib: Seconds | None
    accelerators: list[str]


class SessionPart(TypedDict):
    """One start of the command that asked questions; without seconds where it was stopped."""

    questions: Count
    index: IndexStats
    seconds: NotRequired[Seconds]
    answering_seconds: NotRequired[Seconds]
    peak_memory_bytes: NotRequired[Count]
    """Most memory that the process held until then."""
    peak_accelerator_bytes: NotRequired[Count]
    """Most that torch held on accelerators until then."""
    threads: NotRequired[Count]
    """Of torch, where it computed on the CPU."""
    workers: NotRequired[Count]
    """Processes that answered, if not this one alone; memory is then the sum over them, and `answering_seconds` too."""
    adapted: NotRequired[list[str]]
    clara_bench: str
    git: GitPart | None
    python: str
    packages: dict[str, str]
    hardware: HardwarePart
    digest: NotRequired[str]


class ShardPart(TypedDict):
    """Which part of a run this is, and what the whole run asks."""

    number: Rank
    of: Rank
    batch: Rank
    """Questions per call; a shard holds whole batches."""
    questions: QuestionsPart
    candidates: CandidatesPart


class Manifest(TypedDict):
    """Everything that a manifest holds; what components say of themselves is theirs to shape."""

    schema: Literal[1, 2]
    digest: NotRequired[str]
    request: RequestPart
    identity: dict[str, Any]
    task: TaskPart
    setting: Setting
    questions: QuestionsPart
    data: DataPart
    candidates: CandidatesPart
    system: SystemPart
    models: dict[str, Any]
    traits: dict[str, Any]
    """See `Traits`."""
    sessions: list[SessionPart]
    shard: NotRequired[ShardPart]


def read_manifest(file: Path) -> Manifest:
    """A manifest with all its keys, each checked.

    Raises:
        DataError: no such file, not JSON, written by another version, edited, a key that is missing, unknown or of the
            wrong type, or two that contradict each other.
    """
    manifest: Any = sound(read_json(file, Any), str(file), DataError)
    found = manifest.get("schema") if isinstance(manifest, dict) else None
    if found not in (1, SCHEMA):
        raise DataError(
            f"{file}: schema {found!r:.20}, expected {SCHEMA}. It was written by another version of clara-bench"
        )
    convert(manifest, Manifest, str(file), MEND)
    convert(manifest["traits"], Traits, f"{file}: traits", MEND)
    _refuse_contradictions(manifest, file)
    if found == SCHEMA and _sealed(manifest) != manifest:
        raise DataError(
            f"{file}: its digest is not that of its content: it was edited or damaged. {MEND}, or run again with "
            "another --out"
        )
    return cast(Manifest, manifest)


MEND = "Put the file back as it was written"

_SAME = (
    ("setting", "request.setting"), ("setting", "identity.setting"), ("request.system.name", "system.name"),
)  # fmt: skip
_SAME_IN = {
    1: (
        ("task.name", "identity.task"), ("task.version", "identity.version"), ("request.seed", "identity.seed"),
        ("questions.hash", "identity.questions"), ("candidates.hash", "identity.candidates"),
        ("system.name", "identity.system"), ("system.options", "identity.options"), ("models", "identity.models"),
    ),
    2: (
        ("task.name", "identity.task.name"), ("task.version", "identity.task.version"),
        ("task.answer_scorer", "identity.task.answer_scorer"), ("data.hash", "identity.data.questions"),
    ),
}  # fmt: skip
"""Places of a manifest that must agree, by schema."""


def _refuse_contradictions(manifest: Mapping[str, Any], file: Path) -> None:
    for one, other in (*_SAME, *_SAME_IN[manifest["schema"]]):
        if _at(manifest, one) != _at(manifest, other):
            raise DataError(f"{file}: {one} and {other} are not the same: one was edited. {MEND}")


def _at(manifest: Any, place: str) -> Any:
    for key in place.split("."):
        manifest = manifest.get(key) if isinstance(manifest, Mapping) else None
    return manifest


def write_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest atomically, with a digest of itself."""
    write_atomic(file, json_bytes(_sealed({**manifest, "schema": SCHEMA})))


def _sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with a digest over all but its sessions, and in each session one that covers those before it too."""
    content = {key: value for key, value in manifest.items() if key not in ("digest", "sessions")}
    sessions: list[dict[str, Any]] = []
    for session in manifest["sessions"]:
        told = {key: value for key, value in session.items() if key != "digest"}
        sessions.append({**told, "digest": _digest([*(one["digest"] for one in sessions), told])})
    return {**content, "digest": _digest(content), "sessions": sessions}


def _digest(value: Any) -> str:
    return digest([msgspec.json.encode(value, order="deterministic")])


def differences(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """Dotted names of what differs, as deep as both are tables.

    >>> list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}))
    ['a.c']
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{name}.{key}".removeprefix("."))
    elif one != other:
        yield name


def json_bytes(value: Any) -> bytes:
    """Indented JSON with a final newline; the same value always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
