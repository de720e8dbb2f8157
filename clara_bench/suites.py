"""Suites: TOML files that say which tasks, settings and systems run together."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.candidates import FirstStage
from clara_bench.datasets.files import plain_message
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.registry import Component
from clara_bench.request import Request
from clara_bench.sources import Source
from clara_bench.types import Setting


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One system in one setting, run on every task of the suite."""

    label: str
    system: str
    setting: Setting
    options: dict[str, str | int | float | bool] = {}
    tasks: list[str] | None = None
    """Only these tasks; by default all of the suite."""

    def runs_on(self, task: str) -> bool:
        """Whether the entry is for this task."""
        return self.tasks is None or task in self.tasks


SCHEMA = 1


class Suite(msgspec.Struct, forbid_unknown_fields=True):
    """What a suite file holds."""

    schema: int
    name: str
    description: str
    tasks: list[str]
    entries: list[Entry]
    limit: int | None = None
    seed: int = 0
    complete_gold: bool = False
    candidates: str = "bm25"
    depth: int = 20
    source: dict[str, Any] = {}
    """Data of all tasks: keys as in `Source`; `{task}` in a value stands for the task's name."""
    sources: dict[str, dict[str, Any]] = {}
    """Data of single tasks, over `source`."""

    def requests(self) -> list[Request]:
        """Every run of the suite, task by task."""
        return [
            Request(
                task=task,
                system=Component(entry.system, {key: _text(value) for key, value in entry.options.items()}),
                setting=entry.setting,
                source=self._source(task),
                label=entry.label,
                first_stage=FirstStage(Component(self.candidates), self.depth),
                limit=self.limit,
                seed=self.seed,
                complete_gold=self.complete_gold,
            )
            for task in self.tasks
            for entry in self.entries
            if entry.runs_on(task)
        ]

    def _source(self, task: str) -> Source:
        given = {**self.source, **self.sources.get(task, {})}
        if isinstance(given.get("world"), dict):
            given["world"] = {key: _text(value) for key, value in given["world"].items()}
        try:
            source = msgspec.convert(given, Source, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"suite '{self.name}': source of task '{task}': {plain_message(error)}") from error
        unknown = given.keys() - set(Source.__dataclass_fields__)
        if unknown:
            raise UnknownName("source key", min(unknown), Source.__dataclass_fields__, f"suite '{self.name}'")
        return replace(source, data=source.data.replace("{task}", task))


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        try:
            return _parse(Path(name_or_path).read_text(encoding="utf-8"), name_or_path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"suite file {name_or_path} cannot be read: {error}. Check the path") from error
    if name_or_path not in names():
        raise UnknownName("suite", name_or_path, names())
    return _parse((_folder() / f"{name_or_path}.toml").read_text(encoding="utf-8"), f"suites/{name_or_path}.toml")


def _folder() -> Any:
    return files("clara_bench_tasks.suites")


def _parse(text: str, where: str) -> Suite:
    try:
        suite = msgspec.convert(tomllib.loads(text.removeprefix("\ufeff")), Suite)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {plain_message(error)}") from error
    _refuse_contradictions(suite, where)
    return suite


def _refuse_contradictions(suite: Suite, where: str) -> None:
    if suite.schema != SCHEMA:
        raise ConfigError(
            f"{where}: schema {suite.schema} is not known, this version reads {SCHEMA}. Update clara-bench"
        )
    named = [*suite.sources, *(task for entry in suite.entries for task in entry.tasks or ())]
    for task in named:
        if task not in suite.tasks:
            raise UnknownName("task of the suite", task, suite.tasks, where)
    runs = Counter((task, e.label, e.setting) for task in suite.tasks for e in suite.entries if e.runs_on(task))
    if not runs:
        raise ConfigError(f"{where}: nothing to run. Name tasks and [[entries]]")
    (task, label, setting), times = runs.most_common(1)[0]
    if times > 1:
        raise ConfigError(f"{where}: {times} runs of {task} · {setting} · {label}. Give each its own label")
