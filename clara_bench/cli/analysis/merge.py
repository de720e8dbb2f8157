"""clara-bench merge: one run from its shards."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.io.terminal import say


@click.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--to", metavar="RUN", type=click.Path(path_type=Path),
              help="Folder of the merged run. Default: where the command without --shard keeps it.")  # fmt: skip
def merge(shards: tuple[Path, ...], to: Path | None) -> None:
    """Make one run of SHARDS, the folders that `run --shard` wrote.

    The merged run has the records of an undivided one. Shards of another run, by other code, missing, given twice or
    unfinished are refused.

    \b
    Examples:
      clara-bench run -t nq -s rag --shard 1/2
      clara-bench run -t nq -s rag --shard 2/2
      clara-bench merge runs/nq/rag/*-shard-*-of-2
    """
    from clara_bench.sharding.merge import merge as merged

    run = merged(shards, to)
    asked = run.manifest["questions"]["count"]
    say(f"{run.path}: {asked} questions from {len(shards)} shards")
