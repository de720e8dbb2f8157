"""clara-bench compressors: train text compressors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from clara_bench.cli.options import pairs
from clara_bench.errors import ConfigError
from clara_bench.io.terminal import say


@click.group()
def compressors() -> None:
    """Train text compressors."""


@compressors.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", "sources", multiple=True, required=True, metavar="TASK=FILE",
              help="Training questions with their passages, in a task's official format; repeatable.")  # fmt: skip
@click.option("--body", metavar="MODEL", help="Encoder to start from: folder or hub id. Default: MiniLM.")
@click.option("--epochs", default=3, show_default=True, type=click.IntRange(min=1), help="Passes over the passages.")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(min=1), help="Passages per step.")
@click.option("--learning-rate", default=5e-5, show_default=True, type=float)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of weights and order."
)
def train(out: Path, sources: tuple[str, ...], body: str | None, **settings: Any) -> None:
    """Train the classifier of `llmlingua2-style`, which predicts the words of a passage that people ask about.

    A word is labelled "keep" if it occurs in an answer, or in a question that needs its passage. One question in ten
    is held out. OUT is written at the end; an interrupted training starts again.

    \b
    Example:
      clara-bench compressors train runs/llmlingua2-style --data hotpotqa=hotpot_train_v1.1.json --epochs 2
    """
    from clara_bench.compress.shared.training import Settings
    from clara_bench.compress.shared.training import train as library
    from clara_bench.compress.shared.word_labels import split
    from clara_bench.io.progress import progress
    from clara_bench.retrieve.encoder import MINILM, place

    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: the folder is not empty. Choose another")
    asked, data = _asked(pairs(sources, "--data"))
    parts, chosen = split(asked), Settings(place(body or MINILM), **settings)
    with progress("learning", chosen.epochs * len(parts.train)) as advance:
        report = library(parts, chosen, out, data, advance)
    for name, value in (report["labels"] | report["held_out"]).items():
        say(f"{name:<24} {value}")
    say(out)


def _asked(files: Mapping[str, str]) -> tuple[list[Any], dict[str, Any]]:
    """Questions of all files, each with its corpus, and where they are from."""
    from clara_bench.tasks import definitions, sources

    asked: list[Any] = []
    data = {}
    for name, file in files.items():
        found = sources.load(definitions.load(name), sources.Source(file, split="train"))
        data[name] = found.provenance
        asked += [(example, found.corpus) for example in found.examples]
    return asked, data
