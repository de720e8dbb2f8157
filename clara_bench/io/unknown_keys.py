"""Unknown keys: refused in our own records, and in other rows if they look like a misspelt known key.

msgspec ignores unknown keys of dataclasses and TypedDicts, so a misspelt `usagx` would lose its value. A Struct that
allows unknown keys describes rows that we read in part; there a key is refused if it resembles a missing known key.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from clara_bench.errors import did_you_mean

Check = Callable[[Any], None]
"""Raises UnknownKey for a value as JSON or TOML gave it; passes over what is not of the type, which others refuse."""


class WrongKey(ValueError):
    """A key that a table has and should not, or the other way round, and its place."""

    said, more = "", ""

    def __init__(self, key: str, at: str = "$") -> None:
        super().__init__(key)
        self.key, self.at = key, at

    def __str__(self) -> str:
        place = "" if self.at == "$" else f" at {self.at}"
        return f"{self.said} key '{self.key}'{place}{self.more}"

    def within(self, step: str) -> WrongKey:
        """The same, seen from one level above."""
        self.at = f"${step}{self.at[1:]}"
        return self


class MissingKey(WrongKey):
    """A key that is not there."""

    said = "missing"


class UnknownKey(WrongKey):
    """A key that the type does not have."""

    said = "unknown"

    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__(key)
        self.more = f".{did_you_mean(key, known)}"


def key_check(kind: Any, whole: bool = False) -> Check | None:
    """What checks the keys of values of a type; None where the type has none.

    Args:
        kind: the type.
        whole: refuse a record that lacks a key too, default or not: we wrote them all. A field that came later has
            `metadata={"later": True}`.

    >>> @dataclasses.dataclass
    ... class Cost:
    ...     usage: int = 0
    >>> key_check(list[Cost])([{"usagx": 1}])
    Traceback (most recent call last):
    clara_bench.io.unknown_keys.UnknownKey: unknown key 'usagx' at $[0]. Did you mean 'usage'? Known: usage
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Annotated, NotRequired):
        return key_check(arguments[0], whole)
    if origin in (Union, UnionType):
        return _any_of([key_check(one, whole) for one in arguments])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _inside(dict, key_check(arguments[1], whole))
    if isinstance(origin, type):
        return _inside(list, key_check(arguments[0], whole))  # tuples of several types hold no keys here
    return _fields_of(kind, whole)


def _any_of(checks: Sequence[Check | None]) -> Check | None:
    """Of a union at most one has keys, and it passes over values of the others."""
    found = [check for check in checks if check is not None]

    def check(value: Any) -> None:
        for one in found:
            one(value)

    return check if found else None


def _inside(container: type, inner: Check | None) -> Check | None:
    if inner is None:
        return None
    inside = inner

    def check(value: Any) -> None:
        fits = isinstance(value, container)
        for key, one in () if not fits else value.items() if container is dict else enumerate(value):
            try:
                inside(one)
            except WrongKey as error:
                raise error.within(f".{key}" if container is dict else f"[{key}]") from None

    return check


@functools.cache  # a type's keys never change, and hints are slow to resolve
def _fields_of(kind: Any, whole: bool) -> Check | None:
    names = _names(kind)
    if names is None:
        return None
    hints = get_type_hints(kind, include_extras=True)
    inner = {name: found for field, name in names.items() if (found := key_check(hints[field], whole)) is not None}
    known = frozenset(names.values())
    needed = _first_fields(kind) if whole and dataclasses.is_dataclass(kind) else frozenset()
    closed = not issubclass(kind, msgspec.Struct) or kind.__struct_config__.forbid_unknown_fields

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            return
        if needed - value.keys():
            raise MissingKey(min(needed - value.keys()))
        unknown = value.keys() - known
        for key in sorted(map(str, unknown)):
            if closed or misspelt(key, known - value.keys()):
                raise UnknownKey(key, known)
        for name, one in inner.items():
            if name in value:
                try:
                    one(value[name])
                except WrongKey as error:
                    raise error.within(f".{name}") from None

    return check


def _names(kind: Any) -> Mapping[str, str] | None:
    """Each field's name, and its name in a file."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    if dataclasses.is_dataclass(kind):
        return {field.name: field.name for field in dataclasses.fields(kind)}
    if is_typeddict(kind):
        return {name: name for name in kind.__annotations__}
    return None


def _first_fields(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind) if not field.metadata.get("later"))


def misspelt(key: str, absent: Iterable[str]) -> bool:
    """Whether a key is nearly one that is not there.

    >>> misspelt("titel", ["title"]), misspelt("Title ", ["title"]), misspelt("url", ["title"])
    (True, True, False)
    """
    plain = key.strip().lower()
    near = [name for name in absent if abs(len(name) - len(plain)) < 2]
    return not key.isprintable() or bool(difflib.get_close_matches(plain, near, n=1, cutoff=0.75))
