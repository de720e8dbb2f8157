"""clara-bench published: numbers that others published, and a run beside one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clara_bench.cli.table import format_of, table_options, write, write_tables
from clara_bench.errors import ConfigError
from clara_bench.io.terminal import json_text

if TYPE_CHECKING:
    from clara_bench.exchange.gaps import Gap
    from clara_bench.records.results import Run
    from clara_bench.reporting.scored import Scorer

NOTE = "Values as printed, in the unit of their table. Published numbers are never ranked among runs."
GAPS = "Gap: the run minus what was published. It is not tested: published numbers come without answers to pair."


@click.command()
@click.argument("ids", nargs=-1)
@click.option("-t", "--task", help="Only values of this task: a name of ours, or `mean`.")
@click.option("-m", "--metric", help="Only values of this metric, by our name.")
@click.option("--source", help="Only sources whose arXiv id or address holds this.")
@click.option("--system", help="Only systems whose name holds this.")
@click.option("--setting", help="Only this setting: closed, gold, distractor, injected, retrieved or corpus.")
@click.option("--reader", help="Only readers whose name holds this.")
@click.option("--compressor", help="Only compressors whose name holds this.")
@click.option("--rate", help="Only rates as written that hold this.")
@click.option("--from", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="Another file of published numbers than the one that ships.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show all columns, however long the lines get.")
@table_options
def published(
    ids: tuple[str, ...], file: Path | None, wide: bool, kind: str | None, output: Path | None, **given: str | None
) -> None:
    """List numbers that others published.

    Without options it lists the tables, with options the chosen rows, with IDS everything about these rows. Each value
    has its source, its settings and what is wrong with it. `clara-bench compare RUN --published ID` holds a run beside
    a row. docs/exchange.md explains the fields.

    \b
    Examples:
      clara-bench published
      clara-bench published --task nq --metric cover_bag_first --setting retrieved
      clara-bench published clara-t5-normal-scp-mistral-7b-16x
      clara-bench published --source 2511.18659 -o clara.csv
    """
    from clara_bench.exchange import listing
    from clara_bench.exchange import published as registry

    form = kind or format_of(output)
    place = file or registry.FILE
    found, wanted = registry.read(place), {key: word for key, word in given.items() if word is not None}
    every = list(registry.entries(found))
    named = [entry for id in ids for entry in registry.of_id(every, id)] if ids else every
    kept = registry.chosen(named, wanted)
    if not kept:
        raise ConfigError(f"{place}: nothing fits {', '.join(f'--{key} {word}' for key, word in wanted.items())}")
    if form == "json":
        write(json_text([registry.to_builtins(entry) for entry in kept]), output)
    elif form == "csv":
        write(listing.to_csv(kept), output)
    else:
        shown = listing.in_full(kept) if ids else listing.rows(found, kept) if wanted else [listing.overview(found)]
        write_tables(shown, (NOTE,), form, output, wide)


def beside(
    runs: Sequence[Run], ids: Sequence[str], file: Path | None, names: Sequence[str], scorer: Scorer
) -> list[Gap]:
    """Each run held beside each published row."""
    from clara_bench.exchange import published as registry
    from clara_bench.exchange.gaps import gap

    every = list(registry.entries(registry.read(file or registry.FILE)))
    return [gap(run, registry.of_id(every, id), names, scorer) for run in runs for id in ids]


def show(found: Sequence[Gap], form: str, output: Path | None, wide: bool) -> None:
    """Print gaps, or write them to a file."""
    from clara_bench.exchange import gaps

    if form == "json":
        write(json_text(gaps.to_builtins(found)), output)
    elif form == "csv":
        write(gaps.to_csv(found), output)
    else:
        write_tables(gaps.tables(found), (GAPS,), form, output, wide)
