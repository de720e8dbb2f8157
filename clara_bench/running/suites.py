"""Suites: TOML files of tasks, settings and systems that run together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from clara_bench.components.registry import Component
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.io.parsing import convert, decode_toml, read_toml
from clara_bench.running.run_config import Request, label_of
from clara_bench.tasks.first_stage import FirstStage
from clara_bench.tasks.sources import Source
from clara_bench.types import Control, Setting

Value = str | int | float | bool
"""What an option may be in TOML; it is read as on the command line."""


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One system in one setting, run on every task of the suite."""

    label: str
    system: str
    setting: Setting
    options: dict[str, Value] = {}
    tasks: list[str] | None = None
    """Only these tasks; by default all of the suite."""
    control: Control | None = None
    """The evidence that takes the place of the setting's own."""
    limited: Setting | None = None
    """The setting of a trial: a run of fewer questions than the suite's limit. By default `setting`."""

    def runs_on(self, task: str) -> bool:
        """Whether the entry is for this task."""
        return self.tasks is None or task in self.tasks


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data source; unset keys keep their defaults, see `Source`. `{task}` in `data` is the task's name."""

    data: str | UnsetType = UNSET
    corpus: str | UnsetType = UNSET
    aliases: str | UnsetType = UNSET
    split: str | UnsetType = UNSET
    revision: str | UnsetType = UNSET
    world: dict[str, Value] | UnsetType = UNSET
    chunk: dict[str, Value] | UnsetType = UNSET


SCHEMA = 1


class Suite(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a suite file."""

    schema: int
    name: str
    description: str
    tasks: list[str]
    entries: list[Entry]
    limit: int | None = None
    seed: int = 0
    complete_gold: bool = False
    candidates: str = "bm25"
    candidates_options: dict[str, Value] = {}
    depth: int = 20
    source: Data = Data()
    """Data of all tasks."""
    sources: dict[str, Data] = {}
    """Data of single tasks, over `source`."""

    def is_trial(self, limit: int | None) -> bool:
        """Whether a limit asks for fewer questions than the suite does."""
        return limit is not None and (self.limit is None or limit < self.limit)

    def requests(self, limit: int | None = None, options: Mapping[str, str] | None = None) -> list[Request]:
        """Every run of the suite, task by task.

        Args:
            limit: in place of the suite's, if one is given.
            options: of every entry, beside its own.

        Raises:
            ConfigError: an entry has such an option already.
        """
        trial, further = self.is_trial(limit), options or {}
        for entry in self.entries:
            if twice := sorted(further.keys() & entry.options.keys()):
                raise ConfigError(f"-o {twice[0]}: entry '{entry.label}' of suite {self.name} sets it. Copy the suite")
        return [
            Request(
                task=task,
                system=Component(entry.system, _texts(entry.options) | dict(further)),
                setting=(trial and entry.limited) or entry.setting,
                source=self._source(task),
                label=entry.label,
                first_stage=FirstStage(Component(self.candidates, _texts(self.candidates_options)), self.depth),
                limit=self.limit if limit is None else limit,
                seed=self.seed,
                complete_gold=self.complete_gold,
                control=entry.control,
            )
            for task in self.tasks
            for entry in self.entries
            if entry.runs_on(task)
        ]

    def told(self, limit: int | None) -> str:
        """What to tell a user whose limit makes a trial in which some entries run in another setting."""
        others = [entry for entry in self.entries if entry.limited not in (None, entry.setting)]
        if not others or not self.is_trial(limit):
            return ""
        runs = "; ".join(f"{entry.label} runs in setting {entry.limited}, not {entry.setting}" for entry in others)
        return (
            f"suite {self.name}: --limit {limit} is a trial; the suite asks {self.limit or 'all'} questions a task. "
            f"{runs}. Do not compare these rows with those of the whole suite"
        )

    def _source(self, task: str) -> Source:
        given = msgspec.to_builtins(self.source) | msgspec.to_builtins(self.sources.get(task, Data()))
        world, chunk = (_texts(given.pop(name, {})) for name in ("world", "chunk"))
        source = Source(**given, world=world, chunk=chunk)
        return replace(source, data=source.data.replace("{task}", task))


def _texts(options: Mapping[str, Value]) -> dict[str, str]:
    """Options as on the command line."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml"))


def load(name_or_path: str) -> Suite:
    """A suite by name, or from a TOML file.

    Raises:
        UnknownName: no such suite.
        ConfigError: a key is unknown, missing or of the wrong type.
    """
    if name_or_path.endswith(".toml"):
        return _parse(read_toml(Path(name_or_path)), name_or_path)
    if name_or_path not in names():
        raise UnknownName("suite", name_or_path, names())
    where = f"suites/{name_or_path}.toml"
    return _parse(decode_toml((_folder() / f"{name_or_path}.toml").read_bytes(), where), where)


def _folder() -> Any:
    return files("clara_bench_tasks.suites")


def _parse(content: dict[str, Any], where: str) -> Suite:
    suite = convert(content, Suite, where, error=ConfigError)
    _refuse_contradictions(suite, where)
    return suite


def _refuse_contradictions(suite: Suite, where: str) -> None:
    if suite.schema != SCHEMA:
        raise ConfigError(f"{where}: schema {suite.schema} is unknown; this version reads {SCHEMA}. Update clara-bench")
    named = [*suite.sources, *(task for entry in suite.entries for task in entry.tasks or ())]
    for task in named:
        if task not in suite.tasks:
            raise UnknownName("task of the suite", task, suite.tasks, where)
    if not suite.requests():
        raise ConfigError(f"{where}: nothing to run. Name tasks and [[entries]]")
    for limit in (None, 1):
        runs = Counter((one.task, label_of(one), one.setting) for one in suite.requests(limit))
        (task, label, setting), times = runs.most_common(1)[0]
        if times > 1:
            raise ConfigError(f"{where}: {times} runs of {task} · {setting} · {label}. Give each its own label")
