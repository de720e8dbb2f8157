"""Commands that look into a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from clara_bench.io.terminal import print_table, say
from reference.cli.options import FOLDER, config_of, settings
from reference.settings.overrides import read_overrides


@click.command()
@click.argument("config")
@click.option("--stage", required=True, metavar="NAME", help="A stage of the config that chooses documents.")
@click.option("--start", required=True, metavar="CHECKPOINT", help="The model whose gradients are measured.")
@click.option("--questions", default=32, show_default=True, help="Training questions to measure on.")
@click.option("--seed", default=0, show_default=True, help="Of the one draw by REINFORCE.")
@settings
def gradients(config: str, stage: str, start: str, questions: int, seed: int, overrides: Sequence[str]) -> None:
    """Compare estimators' gradients with measured effects.

    The effect is measured by reading every candidate in the place of each document that is read: 100 answers per
    question with 20 candidates and k = 5. Nothing is trained.

    \b
    Examples:
      clara-reference gradients tiny --stage choose --start tiny-8x --questions 16
      clara-reference gradients tiny --stage gates --start runs/tiny/instruct-8/best --set selection.k=1
    """
    tables = read_overrides(overrides, stage)
    tables.setdefault("stages", {}).setdefault(stage, {})["start"] = start
    chosen = config_of(config, tables)
    from reference.lens.gradients import measure

    found = measure(chosen, stage, questions, seed)
    rows = [[name, *(f"{value:.3f}" for value in (one.cosine, one.auc, one.raised)), str(one.questions)]
            for name, one in found.items()]  # fmt: skip
    print_table(["gradient", "cosine with exact", "AUC of unread gold", "unread gold raised", "questions"], rows)


@click.command()
@click.argument("checkpoint")
@click.option("--questions", default=200, show_default=True, help="Questions that the shares are over.")
@click.option("--passages", default=1000, show_default=True, help="Size of the dev world that they are about.")
@click.option("--seed", default=0, show_default=True, help="Of that world.")
@click.option("--rows", type=FOLDER, help="A JSONL file of rows for joint training, in the world's place.")
@click.option("--top", default=50, show_default=True, help="Word pieces looked at of each memory vector.")
@click.option("--show", default=1, show_default=True, help="Questions shown in full.")
@click.option("--picture", type=FOLDER, help="File to draw: .png, .svg or .pdf.")
def lens(
    checkpoint: str, questions: int, passages: int, seed: int, rows: Path | None, top: int, show: int,
    picture: Path | None,
) -> None:  # fmt: skip
    """Decode memories into words, and compare with chance.

    For every question: the share of decoded word pieces in its gold passages but not in the question. Controls
    are other questions' passages, the untrained reasoner and the compressor.

    \b
    Example:
      clara-reference lens runs/tiny/joint/best --questions 500 --picture lens.png
    """
    from reference.lens.report import check_picture, look, questions_of

    if picture is not None:
        check_picture(picture)
    found = look(checkpoint, questions_of(questions, passages, seed, rows), top)
    for number in range(min(show, len(found.examples))):
        say(found.shown(number) + "\n")
    head = [
        "memories of",
        "share in own passages",
        "in other questions'",
        "p, chance",
        "p, as good as the reasoner",
    ]
    print_table(head, found.table())
    if picture is not None:
        found.draw(picture)
        say(picture)
