"""What there is, by kind: names, each with one line, and nothing heavy imported for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from clara_bench.aliases import meant
from clara_bench.errors import ConfigError, UnknownName

METHODS = MappingProxyType({"system": "answer", "retriever": "retrieve", "compressor": "compress", "reader": "read"})
"""By kind of component, the method that a class of the kind has."""
COMPONENTS = tuple(METHODS)


class Entry(NamedTuple):
    """A name, what it is, and the package that brings it where that is not clara-bench."""

    name: str
    about: str
    package: str = ""


SETTINGS = MappingProxyType({
    "closed": "No passages: what the reader knows by itself",
    "gold": "Exactly the supporting passages: an upper bound for the reader ('oracle' in many papers)",
    "distractor": "The question's own candidates, as the data set has them",
    "injected": "The first N passages of a shared retriever, the supporting ones put in ('Oracle' in the CLaRa paper)",
    "retrieved": "The first N passages of a shared retriever ('Normal' in the CLaRa paper)",
    "corpus": "The whole corpus ('open' or 'fullwiki')",
})  # fmt: skip


def _components(kind: str) -> list[Entry]:
    from clara_bench.components.registry import discover
    from clara_bench.components.summaries import summary

    return [
        Entry(name, summary(point), point.dist.name if point.dist and point.dist.name != "clara-bench" else "")
        for name, point in sorted(discover(kind).items())
    ]


def _tasks() -> list[Entry]:
    from clara_bench.tasks import definitions

    return [
        Entry(task.name, f"{task.title}: {task.description}") for task in map(definitions.load, definitions.names())
    ]


def _metrics() -> list[Entry]:
    from clara_bench import metrics

    own = [Entry(name, metrics.get(name.replace("@k", "@5")).description) for name in metrics.names()]
    return [*own, *_components("metric")]


def _prompts() -> list[Entry]:
    from clara_bench.read.prompts import PROMPTS

    return [Entry(name, prompt.with_context) for name, prompt in PROMPTS.items()] + _components("prompt")


def _suites() -> list[Entry]:
    from clara_bench.running import suites

    return [Entry(name, suites.load(name).description) for name in suites.names()]


def _settings() -> list[Entry]:
    return [Entry(name, about) for name, about in SETTINGS.items()]


KINDS: Mapping[str, Callable[[], list[Entry]]] = MappingProxyType({
    "system": lambda: _components("system"),
    "retriever": lambda: _components("retriever"),
    "compressor": lambda: _components("compressor"),
    "reader": lambda: _components("reader"),
    "prompt": _prompts,
    "task": _tasks,
    "setting": _settings,
    "metric": _metrics,
    "suite": _suites,
})  # fmt: skip


def kind_named(word: str) -> str:
    """A kind, by its name or its plural.

    Raises:
        UnknownName: there is no such kind.
    """
    singular = word.lower().removesuffix("s")
    if singular not in KINDS:
        raise UnknownName("kind", word, [f"{kind}s" for kind in KINDS])
    return singular


class Meaning(NamedTuple):
    """A thing that a word names."""

    kind: str
    name: str


def meanings(word: str, kind: str | None = None) -> list[Meaning]:
    """What a word names, in all kinds or in one: the things of that name first, then those that the field calls so.

    Raises:
        UnknownName: nothing is called so.
    """
    if ".py:" in word:
        return [Meaning(kind or _kind_of_class(word), word)]
    kinds = [kind] if kind else list(KINDS)
    known = {each: [entry.name for entry in KINDS[each]()] for each in kinds}
    exact = [Meaning(each, word) for each in kinds if word in known[each] or (each == "metric" and _is_metric(word))]
    called = [Meaning(each, name) for each in kinds for name in meant(each, word)]
    found = [*exact, *called]
    if not found and word.endswith(".toml") and kind in (None, "task", "suite"):
        return [Meaning(kind or _kind_of_file(word), word)]
    if not found:
        raise UnknownName(kind or "name", word, [name for names in known.values() for name in names])
    return found


def _kind_of_class(word: str) -> str:
    """The kind of a plug-in's class, by the method that every component of the kind has.

    Raises:
        ConfigError: it has none of them.
    """
    from clara_bench.components.registry import load

    found = load("system", word)
    kinds = [kind for kind, method in METHODS.items() if hasattr(found, method)]
    if not kinds:
        expected = ", ".join(f"{method}() for a {kind}" for kind, method in METHODS.items())
        raise ConfigError(f"{word}: the class is no component. Expected a method {expected}")
    return kinds[0]


def _kind_of_file(path: str) -> str:
    from clara_bench.io.parsing import read_toml

    return "suite" if "entries" in read_toml(Path(path)) else "task"


def _is_metric(word: str) -> bool:
    from clara_bench import metrics
    from clara_bench.errors import BenchError

    try:
        metrics.get(word)
    except BenchError:
        return False
    return True
