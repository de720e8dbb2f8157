"""Options that several commands share, and how KEY=VALUE is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clara_bench.errors import ConfigError

if TYPE_CHECKING:
    from clara_bench.tasks.sources import Source

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """--data, --corpus, --aliases, --split, --revision, --world, --chunk."""
    for option in reversed(
        [
            click.option("--data", default="worlds", show_default=True, metavar="SOURCE",
                         help="worlds (synthetic), hub (or hub:ID), or an official file or folder (.gz or not)."),
            click.option("--corpus", metavar="PATH",
                         help="Passages to search: jsonl or json with id, title, text, or a folder of documents."),
            click.option("--aliases", metavar="FILE", help="2WikiMultihopQA's table of answer aliases."),
            click.option("--split", default="dev", show_default=True, help="Split of the data."),
            click.option("--revision", metavar="REV", help="Revision of the hub data set."),
            click.option("--world", multiple=True, metavar="KEY=VALUE",
                         help="Option of the world generator, such as questions=500, passages=2000, seed=1."),
            click.option("--chunk", multiple=True, metavar="KEY=VALUE",
                         help="How the documents of a folder are cut: tokens=200, overlap=40, tokenizer=MODEL."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def source_from(given: Mapping[str, Any]) -> Source:
    """The Source described by the values of `data_options`."""
    from clara_bench.tasks.sources import Source

    plain = {name: given[name] for name in ("data", "corpus", "aliases", "split", "revision")}
    return Source(**plain, world=pairs(given["world"], "--world"), chunk=pairs(given["chunk"], "--chunk"))


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE strings as a dict.

    Raises:
        ConfigError: no '=' in one of them, or a key given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option} '{text}': expected KEY=VALUE")
        if key in found:
            raise ConfigError(f"{option} {key} is given twice: '{found[key]}' and '{value}'")
        found[key] = value
    return found


def changed(ctx: click.Context) -> set[str]:
    """Parameters that the user set."""
    from click.core import ParameterSource

    return {name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}


def refuse_others(ctx: click.Context, allowed: set[str], what: str) -> None:
    """Refuse parameters that would be ignored.

    Raises:
        ConfigError: one that is not `allowed` was given.
    """
    for name in sorted(changed(ctx) - allowed):
        option = next(p.opts[-1] for p in ctx.command.params if p.name == name)
        raise ConfigError(f"{option} cannot be used with {what}, which already sets it")
