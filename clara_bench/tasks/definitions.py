"""Task definitions: strict TOML files with the data source, the answer scorer, metrics and settings.

A task only declares; it runs no code. An unknown key is an error, because a mistyped one would change a score
silently.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from clara_bench.components.registry import discover
from clara_bench.datasets.reading import LAYOUTS
from clara_bench.documents import Chunks
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.io.parsing import convert, decode_toml, read_toml
from clara_bench.types import SETTINGS, Setting

SCHEMA = 1

Scorer = Literal["squad", "hotpotqa", "musique", "2wiki"]
Pattern = Annotated[str, Meta(pattern=r"^[^/\\]+$", max_length=255)]
"""A glob pattern on the name of a file."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """How the official files are called: glob patterns on names, the preferred first."""

    splits: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    corpus: tuple[Pattern, ...] = ("corpus.json*", "*_corpus.json*")
    aliases: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """The data set on the Hugging Face hub."""

    path: str
    splits: Mapping[str, str]
    """Our split to the hub's."""
    name: str | None = None
    """The configuration, where there are several."""
    revision: str | None = None
    """A full commit id."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the data can come from."""

    worlds: str | None = None
    """The schema in which a synthetic world is written; None when there is none."""
    local: LocalFiles = LocalFiles()
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """The content of a task file."""

    schema: int
    """Version of this format."""
    name: str
    version: int
    """Goes up with every change that moves a score."""
    reader: str
    """The family of raw forms: nq, hotpotqa, musique, 2wikimultihopqa or generic."""
    title: str = ""
    description: str = ""
    answer_scorer: Scorer = "squad"
    """Whose official variant plain `em` and `f1` mean."""
    metrics: tuple[str, ...] = ("em", "f1")
    main_metric: str = "f1"
    settings: tuple[Setting, ...] = SETTINGS
    default_setting: Setting = "corpus"
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    sources: Sources = Sources()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Questions in the official files of each split, one number a file."""
    data: str | None = None
    """Your own task: the questions' file, relative to the task file."""
    corpus: str | None = None
    """The passages to search, relative to the task file: a file, or a folder of documents."""
    chunks: Chunks = field(default_factory=Chunks)
    """How the documents of such a folder are cut."""
    sha256: str | None = None
    """Checksum that `data` must have."""
    folder: str = ""
    """Folder of the task file; not a key of it."""


def names() -> list[str]:
    """Every task, ours and those of installed packages."""
    return sorted(discover("task"))


def load(name_or_path: str) -> Task:
    """A task by name, or from a TOML file.

    Raises:
        UnknownName: no such task, or a key, reader, scorer or setting that is not known.
        ConfigError: a key is missing or of the wrong type, or two keys contradict each other.
    """
    if name_or_path.endswith(".toml"):
        return _load_file(Path(name_or_path))
    points = discover("task")
    if name_or_path not in points:
        raise UnknownName("task", name_or_path, points)
    package = points[name_or_path].value
    where = f"{package}/{name_or_path}.toml"
    try:
        data = importlib.resources.files(package).joinpath(f"{name_or_path}.toml").read_bytes()
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"task '{name_or_path}' cannot be read from {where}: {error}. Reinstall its package"
        ) from error
    return parse(decode_toml(data, where), where)


def _load_file(path: Path) -> Task:
    return dataclasses.replace(parse(read_toml(path), str(path)), folder=str(path.parent))


def parse(content: Mapping[str, Any], where: str) -> Task:
    """A task from the tables of its file.

    Raises:
        UnknownName, ConfigError: see `load`; `where` begins the message.
    """
    if "folder" in content:  # which is not said, but known
        raise UnknownName("key", "folder", (), where=where)
    _refuse_unknown_names(content, where)
    task = convert(content, Task, where, error=ConfigError)
    _refuse_contradictions(task, where)
    return task


def _refuse_unknown_names(content: Mapping[str, Any], where: str) -> None:
    settings = content.get("settings", [])
    given: list[tuple[str, Any, Iterable[str]]] = [
        ("reader", content.get("reader"), LAYOUTS),
        ("answer scorer", content.get("answer_scorer"), get_args(Scorer)),
        ("setting", content.get("default_setting"), SETTINGS),
    ]
    given += [("setting", setting, SETTINGS) for setting in (settings if isinstance(settings, list) else [])]
    for kind, value, known in given:
        if isinstance(value, str) and value not in known:
            raise UnknownName(kind, value, known, where=where)


def _refuse_contradictions(task: Task, where: str) -> None:
    if task.schema != SCHEMA:
        raise ConfigError(f"{where}: schema {task.schema} is unknown; this version reads {SCHEMA}. Update clara-bench")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", task.name):
        raise ConfigError(
            f"{where}: name '{task.name}' must consist of letters, digits, '.', '_' and '-', because it names a folder"
        )
    for key, values in (("metrics", task.metrics), ("settings", task.settings)):
        if doubled := [value for value, times in Counter(values).items() if times > 1]:
            raise ConfigError(f"{where}: {key} names '{doubled[0]}' twice. Name it once")
    if task.main_metric not in task.metrics:
        raise ConfigError(f"{where}: main_metric '{task.main_metric}' is not among metrics: {', '.join(task.metrics)}")
    if task.default_setting not in task.settings:
        raise ConfigError(f"{where}: default_setting '{task.default_setting}' is not among settings")
    known = {*task.sources.local.splits, *(task.sources.hub.splits if task.sources.hub else ()), "dev"}
    for split in task.counts:
        if split not in known:
            raise UnknownName("split", split, known, where=f"{where}: counts")
    if task.sha256 and not task.data:
        raise ConfigError(f"{where}: sha256 is the checksum of 'data', which is not given")
