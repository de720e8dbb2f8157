"""Commands that write training rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clara_bench.io.terminal import note, print_table, say
from reference.cli.options import FOLDER, config_of, part_of, parts, refuse_both, settings
from reference.settings.overrides import read_overrides


@click.command()
@click.argument("recipe")
@click.argument("data", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--candidates", type=click.IntRange(1), metavar="N",
              help="One question a row and N passages, to train a reasoner that chooses among them.")  # fmt: skip
def rows(recipe: str, data: Path, out: Path, candidates: int | None) -> None:
    """Write training rows for a text reader.

    Writes OUT (JSONL), following RECIPE, from the files in DATA. RECIPE is a TOML file or the name of a shipped recipe.
    OUT.json records the sources of the rows.

    \b
    Example:
      clara-reference rows reader data runs/reader/rows.jsonl
      clara-reference rows reader data runs/real/candidates.jsonl --candidates 20
    """
    from reference.rows import build
    from reference.rows.recipe import load as load_recipe
    from reference.rows.recipe import to_choose_from
    from reference.settings.shipped import recipe_file

    chosen = load_recipe(recipe_file(recipe))
    chosen = chosen if candidates is None else to_choose_from(chosen, candidates)
    built = build.build(chosen, data, out, note)
    print_table(["rows of", "number"], [[source, str(number)] for source, number in sorted(built.by_source.items())])
    print_table(["left out", "number"], [[why, str(number)] for why, number in sorted(built.left_out.items())])
    say(f"{out}: {built.rows} rows")


@click.command()
@click.argument("documents", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--model", required=True, help="Name of the language model as its server knows it.")
@click.option("--base-url", default="http://localhost:8000/v1", show_default=True, help="OpenAI-compatible server.")
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds the key.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["simple", "complex", "paraphrase"]),
              help="What to write; repeatable; by default all three.")  # fmt: skip
@click.option("--rounds", default=10, show_default=True, help="Most rounds of questions, or of tries at a paraphrase.")
@click.option("--temperature", default=0.7, show_default=True, help="Of what is written.")
@click.option("--max-tokens", default=2048, show_default=True, help="Longest reply.")
@click.option("--concurrency", default=8, show_default=True, help="Documents processed concurrently.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N documents.")
@parts
def synthesize(
    documents: Path, out: Path, limit: int | None, kinds: Sequence[Any], part: str, merged: int | None, **given: Any
) -> None:
    """Write pretraining rows with a language model.

    Writes rows about DOCUMENTS (JSONL) to OUT. The same command resumes.

    \b
    Example:
      clara-reference synthesize corpus.jsonl pretrain.jsonl --model Qwen/Qwen3-32B --limit 1000
    On several machines, and then one file:
      clara-reference synthesize corpus.jsonl pretrain.jsonl --model Qwen/Qwen3-32B --part 2/4
      clara-reference synthesize corpus.jsonl pretrain.jsonl --model Qwen/Qwen3-32B --merge 4
    """
    refuse_both(part, merged)
    from itertools import islice

    from clara_bench.io.progress import progress
    from reference.data.documents import read_documents
    from reference.synthesis import synthesize as library
    from reference.synthesis.parts import Part
    from reference.synthesis.prompts import KINDS
    from reference.synthesis.teacher import Settings

    settings = Settings(kinds=tuple(kinds) or KINDS, **given)
    held, chosen = list(islice(read_documents(documents), limit)), Part(*part_of(part))
    with progress("writing", len(held) * len(settings.kinds) // chosen.parts, "answers") as advance:
        statistics = library.synthesize(held, out, settings, lambda _: advance(1), part=chosen, merged=merged or 0)
    say(library.table(statistics))
    say(chosen.file(out))


@click.command()
@click.argument("config")
@click.argument("out", type=FOLDER)
@click.option("--teacher", required=True, metavar="CHECKPOINT", help="Whose generator reads the passages as text.")
@click.option("--rows", default=2000, show_default=True, type=click.IntRange(1), help="Of the stage, from the first.")
@click.option("--stage", default="instruct", show_default=True, metavar="NAME", help="The stage whose rows they are.")
@click.option("--max-new-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest answer.")
@click.option("--device", default="auto", show_default=True, help="A torch device; auto: the GPU if there is one.")
@parts
@settings
def teach(
    config: str, out: Path, teacher: str, rows: int, stage: str, max_new_tokens: int, device: str, part: str,
    merged: int | None, overrides: Sequence[str],
) -> None:  # fmt: skip
    """Write a teacher's answers as training targets.

    Writes answers to the rows of CONFIG to OUT. The same command resumes. Train on OUT (JSONL) with `[data.NAME] path =
    OUT`: sequence-level distillation.

    \b
    Example:
      clara-reference teach tiny runs/pisco/taught.jsonl --teacher runs/tiny/several/best --rows 8000
    On several machines, and then one file:
      clara-reference teach tiny runs/pisco/taught.jsonl --teacher runs/tiny/several/best --rows 8000 --part 2/4
      clara-reference teach tiny runs/pisco/taught.jsonl --teacher runs/tiny/several/best --rows 8000 --merge 4
    """
    refuse_both(part, merged)
    chosen = config_of(config, read_overrides(overrides, stage))
    from reference.synthesis import distillation as library
    from reference.synthesis.parts import Part

    own = Part(*part_of(part))
    done = library.teach(chosen, stage, teacher, out, rows, max_new_tokens, device, own, merged or 0)
    say(f"{own.file(out)}: {done.rows} rows, {done.turns} questions; {done.dropped} without an answer are left out")
