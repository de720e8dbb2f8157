"""clara-bench worlds: write a synthetic world to disk in the official raw formats, or audit it for shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.cli import options
from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.io.terminal import note, say

if TYPE_CHECKING:
    from clara_bench.worlds import Finding, World

MEANS = ("value", "two-way")


class _WriteByDefault(click.Group):
    """`worlds TASK FOLDER` is `worlds write TASK FOLDER`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in self.get_help_option_names(ctx)
        return super().parse_args(ctx, args if asks_for_help else self.with_command(args))

    def with_command(self, args: list[str]) -> list[str]:
        """The arguments with the name of the command, which may be left out."""
        return ["write", *args] if args and args[0] not in self.commands else args


@click.group(cls=_WriteByDefault)
def worlds() -> None:
    """Write a synthetic world to disk, or audit it for shortcuts.

    \b
    Examples:
      clara-bench worlds hotpotqa my-world --world questions=500 --world seed=1
      clara-bench worlds audit hotpotqa --world version=3
    """


_said = "Option of the generator, such as questions=500, passages=2000, seed=1, version=3."
_world = click.option("--world", multiple=True, metavar="KEY=VALUE", help=_said)


@worlds.command("write")
@click.argument("task")
@click.argument("folder", type=click.Path(path_type=Path))
@_world
@click.option("--pairs", is_flag=True, help="Two passages per question that differ only in names: a reading test.")
def write_(task: str, folder: Path, world: tuple[str, ...], pairs: bool) -> None:
    """Write a synthetic world for TASK to FOLDER: questions in the official format, and corpus.jsonl.

    Also reports, for each kind of question, the score of a reader that selects its passage at random.

    \b
    Examples:
      clara-bench worlds hotpotqa my-world --world questions=500 --world seed=1
      clara-bench worlds nq my-pairs --pairs --world questions=500 --world passages=2000
    """
    from clara_bench.tasks import definitions, sources

    written = sources.write_world(definitions.load(task), options.pairs(world, "--world"), folder, pairs)
    for path in written.paths:
        say(path)
    line = ", ".join(f"{kind} {share:.1%}" for kind, share in written.coin_flip.items())
    note(f"Exact match of a reader that finds the right relation in a random candidate: {line}")


@worlds.command()
@click.argument("task")
@_world
@click.option("--kinds", is_flag=True, help="Every kind of question, not only value and two-way questions.")
@click.option("--trained", is_flag=True, help="Also shortcuts that a classifier learns on a world of other names.")
@click.option("--strict", is_flag=True, help="Exit with 1 if a shortcut is above its limit.")
@table_options
def audit(
    task: str, world: tuple[str, ...], kinds: bool, trained: bool, strict: bool, kind: str | None, output: Path | None
) -> None:
    """Print what shortcuts score on the synthetic questions of TASK, beside chance.

    A shortcut uses some of the evidence and ignores the rest, such as the last gold passage alone. A shortcut more than
    five points above chance means that a score on these questions does not prove reading.

    \b
    Examples:
      clara-bench worlds audit hotpotqa
      clara-bench worlds audit musique --world version=3 --kinds
      clara-bench worlds audit hotpotqa --world version=3 --trained
    """
    from clara_bench.tasks import definitions, sources
    from clara_bench.worlds import audit, generate, practice

    found = definitions.load(task)
    schema = str(found.sources.worlds)
    made = generate(schema, sources.world_config(found, options.pairs(world, "--world")))
    findings = audit(made, practice(schema, made) if trained else None)
    findings = [one for one in findings if kinds or one.kind in MEANS]
    _print(found.name, made, findings, kind or format_of(output), output)
    if strict and not all(one.passes for one in findings):
        raise click.exceptions.Exit(1)


def _print(task: str, made: World, findings: Sequence[Finding], form: str, output: Path | None) -> None:
    if form in ("csv", "json"):
        write(_data(findings, form), output)
        return
    from clara_bench.reporting.tables import Cell, Group, Table
    from clara_bench.worlds import MARGIN, SHORTCUTS

    groups = []
    for setting in dict.fromkeys(one.setting for one in findings):
        rows = tuple(tuple(map(Cell, _row(one))) for one in findings if one.setting == setting)
        groups.append(Group(f"setting {setting}", rows))
    config = made.config
    title = f"Shortcuts: {task}, worlds of version {config.version}, {config.questions:,} questions, seed {config.seed}"
    shown = {one.shortcut for one in findings}
    told = tuple(f"{name}: {said}." for name, (_, said) in SHORTCUTS.items() if name in shown)
    limit = (
        "EM is what a perfect reader of that evidence would get, or a trained one; "
        f"the limit is chance and {MARGIN * 100:.0f} points."
    )
    head = ("shortcut, kind of question", "EM", "chance", "questions", "limit")
    write_tables([Table(title, head, tuple(groups), (limit, *told))], (), form, output)


def _row(one: Finding) -> tuple[str, ...]:
    passed = "kept" if one.passes else "exceeded"
    return f"{one.shortcut}, {one.kind}", f"{one.score:.1%}", f"{one.chance:.1%}", f"{one.questions:,}", passed


def _data(findings: Sequence[Finding], form: str) -> str:
    from clara_bench.reporting.formats import csv_text

    if form == "csv":
        return csv_text([(*findings[0]._fields, "passes"), *((*one, one.passes) for one in findings)])
    import msgspec

    rows = [one._asdict() | {"passes": one.passes} for one in findings]
    return msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n"
