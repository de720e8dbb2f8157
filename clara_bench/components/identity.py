"""The identity of a component: everything that could change an answer. It names runs, indexes and rankings.

It is read from the component as built, with nested components at any depth: class and code (see `codebase`), options
except operational ones, and descriptions of models. Paths, devices, concurrency, retries and time limits cannot change
an answer and are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clara_bench.components import codebase
from clara_bench.components.registry import Built, Component, kind_of, plugin_errors, unbuilt
from clara_bench.io.cache import digest, file_digest

_FOR_PEOPLE = frozenset({"device"})
_NAMES = frozenset({"model", "name"})
"""Keys that a fingerprint replaces."""


def of(built: Built) -> dict[str, Any]:
    """A component's identity, as plain values."""
    parts = list(built.parts)
    identity = {
        **own(built.component, built.options, parts),
        "models": _decisive(described(built.instance)),
        "found": list(built.models),
        "parts": [of(part) for part in parts],  # those that no option names
    }
    if ".py:" not in built.chosen.name:
        identity["component"] = built.chosen.name
    return {key: value for key, value in identity.items() if value not in ({}, [], None)}


def own(component: type, options: Any, parts: list[Built] | None = None) -> dict[str, Any]:
    """Everything known about a component except its own description.

    Args:
        component: its class.
        options: its Options; None where it has none.
        parts: the components that it built; those that an option names are taken out.
    """
    fields = () if options is None else dataclasses.fields(options)
    counted = {field.name: getattr(options, field.name) for field in fields if _counts(field, options)}
    nested = {field.name: kind_of(field) for field in fields if isinstance(counted.get(field.name), Component)}
    code = codebase.of_component(component)
    return {
        "component": component.__qualname__ if component.__module__.startswith(codebase.PLUGIN) else _path(component),
        **({"code": code.files, "packages": code.packages} if code.files else {}),
        **({"threads": _threads()} if "torch" in code.packages else {}),
        "options": {
            name: of(_taken(parts or [], value) or unbuilt(nested[name], value)) if name in nested else _value(value)
            for name, value in counted.items()
        },
    }


def key(identity: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of an identity."""
    return digest([msgspec.json.encode(plain(identity), order="deterministic")])


def described(component: object) -> Mapping[str, Any]:
    """The component's own `describe()`: model names, fingerprints, prompt version; {} when it has none."""
    say = getattr(component, "describe", None)
    return dict(say()) if callable(say) else {}


def models(built: Built) -> dict[str, Any]:
    """Model descriptions of a component and its nested components, for the manifest."""
    places = {name: part for name, part in _named_parts(built)}
    with plugin_errors(f"{built.kind} '{built.chosen.name}': what it says of itself cannot be recorded"):
        return {**described(built.instance), **{name: said for name, part in places.items() if (said := models(part))}}


def adapted(built: Built) -> list[str]:
    """Deviations from the request, by a component or its nested components (attribute `adapted`)."""
    return [*getattr(built.instance, "adapted", ()), *(one for part in built.parts for one in adapted(part))]


def together(built: Built) -> bool:
    """Whether answers may depend on batching, according to the options."""
    fields = () if built.options is None else dataclasses.fields(built.options)
    return any("batch" in field.metadata and _counts(field, built.options) for field in fields) or any(
        map(together, built.parts)
    )


def computing(device: Any) -> dict[str, Any]:
    """What `describe()` says of where torch computes: sums on a CPU depend on the number of threads."""
    return {"device": str(device), **({"threads": _threads()} if device.type == "cpu" else {})}


def plain(value: Any) -> Any:
    """Dicts, lists, strings and numbers, the same in every process.

    Raises:
        TypeError: the value holds something else.
    """
    return msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=number)


def number(value: Any) -> Any:
    """A number of numpy's or torch's as one of Python's.

    Raises:
        TypeError: it is none.
    """
    if callable(getattr(value, "item", None)):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain value")


def _counts(field: dataclasses.Field[Any], options: Any) -> bool:
    """Whether an option could change an answer; one that says how much is computed at once may depend on others."""
    same = field.metadata.get("batch", field.metadata.get("operational", False))
    return not (same(options) if callable(same) else same)


def _value(value: Any) -> Any:
    return _content(value) if isinstance(value, Path) else value


def _content(path: Path) -> str:
    """A file or folder by its content; a path that does not exist yet by its name."""
    if path.is_file():
        return f"sha256:{file_digest(path)}"
    if not path.is_dir():
        return path.name
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return f"sha256:{digest(text for file in files for text in (str(file.relative_to(path)), file_digest(file)))}"


def _taken(parts: list[Built], chosen: Component) -> Built | None:
    """The first of the parts that was built from this choice, taken out of the list."""
    for place, part in enumerate(parts):
        if part.chosen == chosen:
            return parts.pop(place)
    return None


def _named_parts(built: Built) -> Iterator[tuple[str, Built]]:
    """Each part with the option that names it, or with its kind."""
    parts = list(built.parts)
    for field in () if built.options is None else dataclasses.fields(built.options):
        value = getattr(built.options, field.name)
        if isinstance(value, Component) and (part := _taken(parts, value)) is not None:
            yield field.name, part
    for number_, part in enumerate(parts, 1):
        yield f"{part.kind}-{number_}", part


def _decisive(said: Any) -> Any:
    """The relevant part of a description: not the device, and not a model's name if there is a fingerprint."""
    if isinstance(said, Mapping):
        left_out = _FOR_PEOPLE | (_NAMES if "fingerprint" in said else frozenset())
        return {name: _decisive(value) for name, value in said.items() if name not in left_out}
    return [_decisive(one) for one in said] if isinstance(said, Sequence) and not isinstance(said, str) else said


def _path(component: type) -> str:
    return f"{component.__module__}:{component.__qualname__}"


def _threads() -> int:
    import torch

    return torch.get_num_threads()
