"""clara-reference: train CLaRa, encode documents, inspect memories.

Each command parses, calls the library and prints. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clara_bench import ConfigError, __version__
from clara_bench.cli import Commands
from clara_bench.io.terminal import note, print_table, say
from reference.settings.config import Config, load
from reference.settings.overrides import read_overrides

FOLDER = click.Path(path_type=Path)
ROLES = click.Choice(["compressor", "reasoner", "generator"])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clara-reference")
@click.option("--local_rank", hidden=True, type=int, help="Added by the deepspeed launcher.")
def main(local_rank: int | None) -> None:
    """Train CLaRa, encode documents with it, and inspect its memories.

    \b
    Start here:
      clara-reference train debug --stage text --out runs/debug/text     one training stage, in seconds
      clara-reference plan mistral-7b --gpus 8                           memory and time of the stages
    """


def _settings(command: Any) -> Any:
    option = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE",
        help="Another value than the config's: model.memory.rate=4, data.joint.worlds=2, or a setting of the stage, "
        "such as steps=100 or optimiser.learning_rate=1e-4; repeatable.",
    )  # fmt: skip
    return option(command)


@main.command()
@click.argument("config")
@click.option("--stage", required=True, metavar="NAME", help="A stage of the config.")
@click.option("--out", required=True, type=FOLDER, help="Folder for checkpoints, logs and what resuming needs.")
@click.option("--start", "--from", "start", metavar="CHECKPOINT",
              help="Checkpoint or LoRA weights to start from, in place of the config's; --from under torchrun, which "
              "takes --start for an option of its own.")  # fmt: skip
@click.option("--store", type=FOLDER, help="Keep candidates' memories in this folder, not in main memory.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with what is in the folder.")
@_settings
def train(
    config: str, stage: str, out: Path, start: str | None, store: Path | None, resume: bool, overrides: Sequence[str]
) -> None:
    """Train one stage of CONFIG. The same command resumes.

    CONFIG is a TOML file or the name of a shipped config.

    \b
    Examples:
      clara-reference train tiny --stage text --out runs/tiny/text
      clara-reference train tiny --stage pretrain --start runs/tiny/text/best --out runs/tiny/pretrain
      clara-reference train tiny --stage joint --start runs/tiny/pretrain/best --out runs/tiny/joint --set steps=500
    On several processes or nodes:
      torchrun --nproc-per-node 2 -m reference train tiny --stage text --out runs/tiny/text
      deepspeed --module reference train mistral-7b --stage pretrain --out runs/mistral/pretrain
    """
    tables = read_overrides(overrides, stage)
    if start is not None:
        tables.setdefault("stages", {}).setdefault(stage, {})["start"] = start
    chosen = _config(config, tables)
    from reference.training.launch import run_stage
    from reference.weights.manifest import read_manifest

    best = run_stage(chosen, stage, out, store, resume)
    if _first_process():
        training = read_manifest(best).training
        scores = "".join(f", {name} {value:.3f}" for name, value in training["scores"].items() if "/" not in name)
        say(f"{best}: step {training['step']}{scores}")


@main.command()
@click.argument("config")
@click.option("--stage", "stages", multiple=True, required=True, metavar="NAME",
              help="A stage of the config whose rows are read; repeatable, in this order.")  # fmt: skip
@click.option("--out", required=True, type=FOLDER, help="Folder for the encoder, the log and what resuming needs.")
@click.option("--model", default="sentence-transformers/all-MiniLM-L6-v2", show_default=True,
              help="Start: hub id or folder of a sentence encoder, or a checkpoint such as tiny-text.")  # fmt: skip
@click.option("--budget", default=1.0, show_default=True, help="Share of each stage's steps.")
@click.option("--negatives", default=1, show_default=True, type=click.IntRange(0),
              help="Hard negatives an example.")  # fmt: skip
@click.option("--learning-rate", default=5e-5, show_default=True, help="Highest learning rate.")
@click.option("--evaluations", default=4, show_default=True, type=click.IntRange(0), help="On dev questions.")
@click.option("--dev-questions", default=50, show_default=True, type=click.IntRange(1), help="Asked each time.")
@click.option("--precision", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]),
              help="Of matrix products in training.")  # fmt: skip
@click.option("--device", help="A torch device; by default the GPU if there is one.")
@click.option("--seed", default=0, show_default=True, help="Of the training and of its draws.")
@_settings
def retriever(config: str, stages: Sequence[str], out: Path, overrides: Sequence[str], **given: Any) -> None:
    """Train a dense text retriever on the rows of CONFIG's stages.

    Contrastive training by sentence-transformers: a question, one of its gold passages, hard negatives among its
    candidates, and the passages of the batch's other questions. Unlike CLaRa's reasoner it learns from labels. The
    same command resumes.

    \b
    Example:
      clara-reference retriever tiny --stage find --stage choose --budget 0.1 --out runs/retriever
      clara-bench run -t nq -s rag -o retriever=dense -o retriever.model=runs/retriever/best --limit 5
    """
    chosen = _config(config, read_overrides(overrides, *stages))
    from reference.retriever.training import Settings
    from reference.retriever.training import train as library

    done = library(chosen, Settings(stages=tuple(stages), **given), out)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in done["best"].items() if name != "step")
    say(f"{out / 'best'}: step {done['best']['step']} of {done['steps']}{scores and f', {scores}'}")


@main.command()
@click.argument("recipe")
@click.argument("data", type=FOLDER)
@click.argument("out", type=FOLDER)
def rows(recipe: str, data: Path, out: Path) -> None:
    """Write training rows for a text reader.

    Writes OUT (JSONL), following RECIPE, from the files in DATA. RECIPE is a TOML file or the name of a shipped recipe.
    OUT.json records the sources of the rows.

    \b
    Example:
      clara-reference rows reader data runs/reader/rows.jsonl
    """
    from reference.rows import build
    from reference.rows.recipe import load as load_recipe
    from reference.settings.shipped import recipe_file

    chosen = load_recipe(recipe_file(recipe))
    built = build.build(chosen, data, out, note)
    print_table(["rows of", "number"], [[source, str(number)] for source, number in sorted(built.by_source.items())])
    print_table(["left out", "number"], [[why, str(number)] for why, number in sorted(built.left_out.items())])
    say(f"{out}: {built.rows} rows")


@main.command()
@click.argument("checkpoint")
@click.argument("documents", type=FOLDER)
@click.option("--store", required=True, type=FOLDER, help="Folder of the store; filled further if it is there.")
@click.option("--precision", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16", "int8"]), help="How a number is kept.")  # fmt: skip
@click.option("--part", default="1/1", show_default=True, metavar="I/N",
              help="Only the I-th of N parts: so N processes fill one store.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="A torch device; auto: the GPU if there is one.")
@click.option("--workers", type=click.IntRange(1), metavar="N",
              help="Compress in N processes of this machine; with --ray, in N actors.")  # fmt: skip
@click.option("--ray", metavar="ADDRESS", help="Compress in actors of a Ray cluster: its address, auto, or local.")
def encode(
    checkpoint: str,
    documents: Path,
    store: Path,
    precision: Any,
    part: str,
    device: str,
    workers: int | None,
    ray: str | None,
) -> None:
    """Compress DOCUMENTS with CHECKPOINT into a store.

    DOCUMENTS is JSONL of title and text, also as .gz. The same command resumes.

    \b
    Example:
      clara-reference encode runs/tiny/joint/best corpus.jsonl --store memories
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/tiny/joint/best -o store=memories
    Several processes, or machines and then one store:
      clara-reference encode tiny-8x corpus.jsonl --store memories --workers 4
      clara-reference encode tiny-8x corpus.jsonl --store memories-2 --part 2/4
      clara-reference merge memories-1 memories-2 --store memories
    """
    from clara_bench.workers.choice import pool
    from reference.systems.encode import fill

    filled, built = fill(checkpoint, documents, store, precision, _part(part), device, pool(workers, ray))
    for name in built.rebuilt:
        note(f"{store / name}: was damaged and is built anew")
    say(
        f"{store}: {built.added} of {built.texts} documents compressed now, {len(filled)} stored, "
        f"{filled.bytes_per_document:.0f} bytes each"
    )


@main.command()
@click.argument("stores", nargs=-1, required=True, type=FOLDER)
@click.option("--store", required=True, type=FOLDER, help="Folder of the merged store; filled further if it is there.")
def merge(stores: tuple[Path, ...], store: Path) -> None:
    """Merge STORES that were filled on different disks.

    Stores of another compressor, rate or precision and damaged ones are refused.

    \b
    Example:
      clara-reference merge memories-1 memories-2 --store memories
    """
    from reference.memory.merge import merge as merged

    found = merged(stores, store)
    say(f"{store}: {len(found)} documents from {len(stores)} stores")


@main.command()
@click.argument("config")
@click.option("--stage", required=True, metavar="NAME", help="A stage of the config that chooses documents.")
@click.option("--start", required=True, metavar="CHECKPOINT", help="The model whose gradients are measured.")
@click.option("--questions", default=32, show_default=True, help="Training questions to measure on.")
@click.option("--seed", default=0, show_default=True, help="Of the one draw by REINFORCE.")
@_settings
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
    chosen = _config(config, tables)
    from reference.lens.gradients import measure

    found = measure(chosen, stage, questions, seed)
    rows = [[name, *(f"{value:.3f}" for value in (one.cosine, one.auc, one.raised)), str(one.questions)]
            for name, one in found.items()]  # fmt: skip
    print_table(["gradient", "cosine with exact", "AUC of unread gold", "unread gold raised", "questions"], rows)


@main.command()
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


@main.command()
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
def synthesize(documents: Path, out: Path, limit: int | None, kinds: Sequence[Any], **given: Any) -> None:
    """Write pretraining rows with a language model.

    Writes rows about DOCUMENTS (JSONL) to OUT. The same command resumes.

    \b
    Example:
      clara-reference synthesize corpus.jsonl pretrain.jsonl --model Qwen/Qwen3-32B --limit 1000
    """
    from itertools import islice

    from clara_bench.io.progress import progress
    from reference.data.documents import read_documents
    from reference.synthesis import synthesize as library
    from reference.synthesis.prompts import KINDS
    from reference.synthesis.teacher import Settings

    settings = Settings(kinds=tuple(kinds) or KINDS, **given)
    held = list(islice(read_documents(documents), limit))
    with progress("writing", len(held) * len(settings.kinds), "answers") as advance:
        statistics = library.synthesize(held, out, settings, lambda _: advance(1))
    say(library.table(statistics))
    say(out)


@main.command()
@click.argument("config")
@click.argument("out", type=FOLDER)
@click.option("--teacher", required=True, metavar="CHECKPOINT", help="Whose generator reads the passages as text.")
@click.option("--rows", default=2000, show_default=True, type=click.IntRange(1), help="Of the stage, from the first.")
@click.option("--stage", default="instruct", show_default=True, metavar="NAME", help="The stage whose rows they are.")
@click.option("--max-new-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest answer.")
@click.option("--device", default="auto", show_default=True, help="A torch device; auto: the GPU if there is one.")
@_settings
def teach(
    config: str, out: Path, teacher: str, rows: int, stage: str, max_new_tokens: int, device: str,
    overrides: Sequence[str],
) -> None:  # fmt: skip
    """Write a teacher's answers as training targets.

    Writes answers to the rows of CONFIG to OUT. The same command resumes. Train on OUT (JSONL) with `[data.NAME] path =
    OUT`: sequence-level distillation.

    \b
    Example:
      clara-reference teach tiny runs/pisco/taught.jsonl --teacher runs/tiny/several/best --rows 8000
    """
    chosen = _config(config, read_overrides(overrides, stage))
    from reference.synthesis import distillation as library

    done = library.teach(chosen, stage, teacher, out, rows, max_new_tokens, device)
    say(f"{out}: {done.rows} rows, {done.turns} questions; {done.dropped} without an answer are left out")


@main.command()
@click.argument("checkpoint", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--role", "roles", multiple=True, type=ROLES, help="Role to keep; repeatable; by default all.")
@click.option("--dtype", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16", "int8"]), help="Numbers in the files.")  # fmt: skip
def export(checkpoint: Path, out: Path, roles: Sequence[str], dtype: Any) -> None:
    """Export CHECKPOINT in 16 or 8 bits.

    Writes OUT with the weights, the log and the training history.

    \b
    Example:
      clara-reference export runs/tiny/joint-8x/best shipped/tiny-8x
      clara-reference export runs/tiny/text/best shipped/tiny-text --role generator
    """
    from reference.weights import export as library

    size = library.export(checkpoint, out, roles, dtype)
    say(f"{out}: {size / 1e6:.1f} MB")


@main.command()
@click.argument("checkpoint", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--role", default="generator", show_default=True, type=ROLES, help="Whose weights.")
@click.option("--dtype", default="float16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16"]), help="Numbers in the file.")  # fmt: skip
def adapter(checkpoint: Path, out: Path, role: str, dtype: Any) -> None:
    """Write a role of CHECKPOINT as LoRA weights for PEFT.

    The reader `hf` takes them with `-o reader.adapter=OUT`.

    \b
    Example:
      clara-reference adapter runs/reader/text/last runs/reader/adapter
      clara-bench run -t nq -s rag -o reader.adapter=runs/reader/adapter --setting distractor --limit 5
    """
    from reference.weights.adapter import write_adapter

    size = write_adapter(checkpoint, role, out, dtype)
    say(f"{out}: {size / 1e6:.1f} MB")


@main.command("import")
@click.argument("config")
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--unpickle", is_flag=True, help="Read .pth files: tensors and plain containers only, but pickles still.")
@_settings
def import_(config: str, folder: Path, out: Path, unpickle: bool, overrides: Sequence[str]) -> None:
    """Convert Apple's published weights to a checkpoint.

    Reads FOLDER and writes OUT; CONFIG names the backbone. FOLDER is the folder of one compression rate, with adapters
    and decoder_first_last_layers, .safetensors or .pth.

    \b
    Example:
      clara-reference import mistral-7b CLaRa-7B-E2E/compression-16 runs/apple-16 --unpickle
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/apple-16 --setting distractor
    """
    from reference.published import convert as library

    roles = library.convert(_config(config, read_overrides(overrides)), folder, out, unpickle)
    say(f"{out}: {', '.join(roles)}; official weights, unverified")


@main.command("import-naver")
@click.argument("source")
@click.argument("out", type=FOLDER)
@click.option("--backbone", default="", help="Hub id or folder, in the place of the one that the weights name.")
@click.option("--dtype", default="bfloat16", show_default=True,
              type=click.Choice(["float32", "bfloat16", "float16"]), help="Of the backbone's numbers.")  # fmt: skip
@click.option("--unpickle", is_flag=True, help="Read .pth files: tensors and plain containers only, but pickles still.")
def import_naver(source: str, out: Path, backbone: str, dtype: Any, unpickle: bool) -> None:
    """Convert naver's PISCO or COCOM to a checkpoint.

    SOURCE is a hub id or a folder.

    \b
    Examples:
      clara-reference import-naver naver/pisco-mistral runs/pisco --unpickle
      clara-reference import-naver naver/cocom-v1-16-mistral-7b runs/cocom-16
      clara-bench run -t hotpotqa -s clara -o checkpoint=runs/pisco -o retriever=bm25
    """
    from reference.published import convert as library

    roles = library.convert_naver(source, out, backbone, dtype, unpickle)
    say(f"{out}: {', '.join(roles)}; official weights, unverified")


@main.command()
@click.argument("config")
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="A stage; repeatable; by default all.")
@click.option("--gpus", default=1, show_default=True, help="Accelerators, or processes, in each node.")
@click.option("--nodes", default=1, show_default=True, help="How many nodes.")
@click.option("--architecture", type=FOLDER, help="The backbone's config.json, where no other is found.")
@_settings
def plan(
    config: str, stages: Sequence[str], gpus: int, nodes: int, architecture: Path | None, overrides: Sequence[str]
) -> None:
    """Estimate memory and size of CONFIG's stages.

    Prints parameters, memory, rows and tokens per step. Nothing is loaded or run.

    \b
    Examples:
      clara-reference plan mistral-7b --gpus 8 --nodes 2
      clara-reference plan mistral-7b --stage joint --gpus 4 --set parallel.zero=3
    """
    if gpus < 1 or nodes < 1:
        raise ConfigError(f"--gpus is {gpus} and --nodes {nodes}, expected at least 1")
    chosen = _config(config, read_overrides(overrides, *stages))
    from reference.training import plan as library

    names = list(stages) or list(chosen.stages)
    if not names:
        raise ConfigError(f"{config}: no stages. Expected [stages.NAME]")
    plans = [library.plan(chosen, name, gpus, nodes, architecture) for name in names]
    columns = [one.column() for one in plans]
    print_table(["stage", *names], [[label, *(column[label] for column in columns)] for label in columns[0]])


def _config(name: str, overrides: dict[str, Any]) -> Config:
    from reference.settings.shipped import config_file

    return load(config_file(name), overrides)


def _part(text: str) -> tuple[int, int]:
    first, _, parts = text.partition("/")
    if first.isdigit() and parts.isdigit() and 1 <= int(first) <= int(parts):
        return int(first), int(parts)
    raise ConfigError(f"--part is '{text}', expected I/N with I from 1 to N, such as 1/4")


def _first_process() -> bool:
    import os

    return os.environ.get("RANK", "0") == "0"
