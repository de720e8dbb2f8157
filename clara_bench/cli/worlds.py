"""clara-bench worlds: write a synthetic world to disk in the official raw formats."""

from __future__ import annotations

from pathlib import Path

import click

from clara_bench.cli import options
from clara_bench.io.terminal import note, say


@click.command()
@click.argument("task")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--world", multiple=True, metavar="KEY=VALUE",
              help="Option of the generator, such as questions=500, passages=2000, seed=1, split=train.")  # fmt: skip
@click.option("--pairs", is_flag=True, help="Two passages per question that differ only in names: a reading test.")
def worlds(task: str, folder: Path, world: tuple[str, ...], pairs: bool) -> None:
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
