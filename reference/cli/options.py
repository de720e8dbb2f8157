"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clara_bench import ConfigError
from reference.settings.config import Config, load

FOLDER = click.Path(path_type=Path)
ROLES = click.Choice(["compressor", "reasoner", "generator"])


def settings(command: Any) -> Any:
    """Add `--set` to a command."""
    option = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE",
        help="Another value than the config's: model.memory.rate=4, data.joint.worlds=2, or a setting of the stage, "
        "such as steps=100 or optimiser.learning_rate=1e-4; repeatable.",
    )  # fmt: skip
    return option(command)


def parts(command: Any) -> Any:
    """Add `--part` and `--merge` to a command that writes rows."""
    part = click.option(
        "--part", default="1/1", show_default=True, metavar="I/N",
        help="Write only the I-th of N parts, into a file of its own beside OUT: part-I-of-N-OUT.",
    )  # fmt: skip
    merged = click.option(
        "--merge", "merged", type=click.IntRange(2), metavar="N",
        help="Make OUT of the N parts beside it, without writing anything new.",
    )  # fmt: skip
    return part(merged(command))


def config_of(name: str, overrides: dict[str, Any]) -> Config:
    """The config of that path or short name, with overrides."""
    from reference.settings.shipped import config_file

    return load(config_file(name), overrides)


def part_of(text: str) -> tuple[int, int]:
    """Which part of how many, from I/N.

    Raises:
        ConfigError: it is no such pair.
    """
    first, _, parts = text.partition("/")
    if first.isdigit() and parts.isdigit() and 1 <= int(first) <= int(parts):
        return int(first), int(parts)
    raise ConfigError(f"--part is '{text}', expected I/N with I from 1 to N, such as 1/4")


def refuse_both(part: str, merged: int | None) -> None:
    """Refuse to write a part and to merge parts in one command.

    Raises:
        ConfigError: both are asked for.
    """
    if merged and part != "1/1":
        raise ConfigError(f"--part {part} writes a part, --merge {merged} makes one file of all. Leave one out")


def first_process() -> bool:
    """Whether this process speaks for all."""
    import os

    return os.environ.get("RANK", "0") == "0"
