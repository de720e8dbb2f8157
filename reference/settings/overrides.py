"""Command-line overrides of a config file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clara_bench import ConfigError
from clara_bench.io.parsing import decode_toml
from reference.settings.config import Config


def read_overrides(given: Sequence[str], *stages: str) -> dict[str, Any]:
    """Parse KEY=VALUE into tables; a key that is not a table of a config file is a setting of the stages.

    Raises:
        ConfigError: no '=', or a setting of a stage where none is named.
    """
    tables: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            raise ConfigError(f"--set '{text}': expected KEY=VALUE, such as model.memory.rate=4")
        whole = names[0] in Config.__struct_fields__
        if not whole and not stages:
            raise ConfigError(f"--set {key}: a setting of a stage; name it with --stage, or write stages.NAME.{key}")
        for path in [names] if whole else [["stages", stage, *names] for stage in stages]:
            _put(tables, path, _value(value.strip()))
    return tables


def _put(tables: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"--set {'.'.join(path)}: '{name}' is given a value and a table")
    tables[path[-1]] = value


def _value(text: str) -> Any:
    """The value parsed as TOML, or else the text itself."""
    try:
        tables = decode_toml(f"value = {text}", "--set")
    except ConfigError:
        return text
    return tables["value"] if len(tables) == 1 else text
