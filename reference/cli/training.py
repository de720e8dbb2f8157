"""Commands that train, and that say what training needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clara_bench import ConfigError
from clara_bench.io.terminal import note, print_table, say
from reference.cli.options import FOLDER, config_of, first_process, settings
from reference.settings.overrides import read_overrides


@click.command()
@click.argument("config")
@click.option("--stage", required=True, metavar="NAME", help="A stage of the config.")
@click.option("--out", required=True, type=FOLDER, help="Folder for checkpoints, logs and what resuming needs.")
@click.option("--start", "--from", "start", metavar="CHECKPOINT",
              help="Checkpoint or LoRA weights to start from, in place of the config's; --from under torchrun, which "
              "takes --start for an option of its own.")  # fmt: skip
@click.option("--store", type=FOLDER, help="Keep candidates' memories in this folder, not in main memory.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with what is in the folder.")
@settings
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
    chosen = config_of(config, tables)
    from reference.training.launch import run_stage
    from reference.weights.manifest import read_manifest

    best = run_stage(chosen, stage, out, store, resume)
    if first_process():
        training = read_manifest(best).training
        scores = "".join(f", {name} {value:.3f}" for name, value in training["scores"].items() if "/" not in name)
        say(f"{best}: step {training['step']}{scores}")


@click.command()
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
@settings
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
    chosen = config_of(config, read_overrides(overrides, *stages))
    from reference.retriever.training import Settings
    from reference.retriever.training import train as library

    done = library(chosen, Settings(stages=tuple(stages), **given), out)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in done["best"].items() if name != "step")
    say(f"{out / 'best'}: step {done['best']['step']} of {done['steps']}{scores and f', {scores}'}")


@click.command()
@click.argument("config")
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="A stage; repeatable; by default all.")
@click.option("--gpus", default=1, show_default=True, help="Accelerators, or processes, in each node.")
@click.option("--nodes", default=1, show_default=True, help="How many nodes.")
@click.option("--architecture", type=FOLDER, help="The backbone's config.json, where no other is found.")
@settings
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
    chosen = config_of(config, read_overrides(overrides, *stages))
    from reference.training import plan as library

    names = list(stages) or list(chosen.stages)
    if not names:
        raise ConfigError(f"{config}: no stages. Expected [stages.NAME]")
    plans = [library.plan(chosen, name, gpus, nodes, architecture) for name in names]
    columns = [one.column() for one in plans]
    print_table(["stage", *names], [[label, *(column[label] for column in columns)] for label in columns[0]])


@click.command()
@click.argument("config")
@click.option("--out", required=True, type=FOLDER, help="Folder for all trainings and what they start from.")
@click.option("--questions", default=32, show_default=True, type=click.IntRange(0),
              help="Training questions that each start's gradients are measured on; 0: none.")  # fmt: skip
@click.option("--table", "only", is_flag=True, help="Train nothing; print the table of what is there.")
@settings
def sweep(config: str, out: Path, questions: int, only: bool, overrides: Sequence[str]) -> None:
    """Train every cell of CONFIG's sweep and compare.

    Trains each stage by each estimator, from each start, with each seed, as the config's `[sweep]` says. Prints recall,
    EM, seconds and the quality of gradients from the logs, then each estimator minus the first: Welch's test over
    trainings at each rate, then the paired test over all rates, each table corrected by Holm. The same command resumes.

    \b
    Examples:
      clara-reference sweep estimators --out runs/estimators
      clara-reference sweep estimators --out runs/estimators --table
      clara-reference sweep estimators --out runs/first --set sweep.seeds=[0] --set steps=25
    """
    stages = config_of(config, {}).sweep.stages
    chosen = config_of(config, read_overrides(overrides, *stages))
    from reference.sweeps import differences
    from reference.sweeps.cells import run
    from reference.sweeps.table import HEAD, table

    if not only:
        run(chosen, out, questions, note)
    print_table(HEAD, table(chosen, out))
    for compared in (differences.table(chosen, out), differences.paired_table(chosen, out)):
        if compared:
            print_table(differences.HEAD, compared)
