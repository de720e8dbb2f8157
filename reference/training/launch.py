"""Assembles one stage of training from its settings: rows, tokenizer, initial weights and memories.

Run by `clara-reference train` on one process, or on many by `torchrun -m reference train ...`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clara_bench import ConfigError
from clara_bench.io.progress import progress
from reference.data.sources import open_source
from reference.data.stream import Source
from reference.memory.store import Store
from reference.model.backbone import train_tokenizer
from reference.model.clara import Clara
from reference.model.prompts import CHAIN
from reference.objectives.candidates import Remembered
from reference.settings.config import RETRIEVING, Config, Evaluation
from reference.training import deepspeed
from reference.training.checks import check_stage, data_options
from reference.training.deepspeed import Process
from reference.training.evaluation import evaluator
from reference.training.loop import train
from reference.training.resume import barrier
from reference.weights.initialization import begin, stage_settings, started
from reference.weights.manifest import read_manifest

STRIDE = 16
"""Of an endless source, one row in so many is shown to the tokenizer, so that it sees several worlds."""


class Shared(NamedTuple):
    """What trainings with one compressor have in common."""

    remembered: Remembered
    """Memories of candidate documents."""
    evaluated: Path
    """A folder for those of dev passages."""


def run_stage(
    config: Config,
    name: str,
    out: Path,
    store: Path | None = None,
    resume: bool = True,
    shared: Shared | None = None,
) -> Path:
    """Train or resume a stage; returns the folder of its best checkpoint.

    Args:
        config: model, stages, and where their data come from.
        name: of the stage.
        out: folder for all that is written.
        store: folder of the candidates' memories, filled first; None compresses each once and keeps it in memory.
        resume: False refuses a folder in which training was begun.
        shared: with other trainings in this process; not beside a store.

    Raises:
        BenchError: see `train`, and whatever the data or the starting checkpoint lack.
    """
    settings = stage_settings(config, name)
    if store is not None and settings.stage not in RETRIEVING:
        raise ConfigError(f"stage '{settings.stage}' chooses among no documents: leave --store out")
    config = started(config, name)
    settings = stage_settings(config, name)
    options = data_options(config, name)
    check_stage(config, name)
    rows = open_source(settings.stage, options)
    with deepspeed.quiet():
        process = deepspeed.connect()
    asked = config.evaluation.get(name, Evaluation())
    evaluated = shared.evaluated if shared is not None else None
    evaluate = evaluator(settings, asked, process.rank == 0, evaluated) if asked.tasks else None
    model = begin(config, name, _tokenizer(config, name, rows))
    remembered = shared.remembered if shared is not None else None
    if store is not None:
        remembered = _remembered(model, rows, store, process)
    notes = {"evaluation": msgspec.to_builtins(asked), "began": _began(stage_settings(config, name).start)}
    return train(config, name, rows, out, model, remembered, evaluate, resume, notes=notes, data=options)


def _began(start: str) -> dict[str, Any]:
    """Stage and step of the checkpoint that a stage starts from; {} if it starts from a backbone."""
    training: Mapping[str, Any] = read_manifest(Path(start)).training if start else {}
    return {key: training[key] for key in ("stage", "step") if key in training}


def _tokenizer(config: Config, name: str, rows: Source) -> Any:
    """The tokenizer of a new backbone trained from scratch."""
    shape = config.model.backbone.scratch
    if config.model.backbone.model or shape is None or stage_settings(config, name).start:
        return None
    return train_tokenizer(texts(rows, shape.vocabulary // 2), shape.vocabulary)


def texts(rows: Source, number: int) -> Iterator[str]:
    """The texts of a number of rows, spread evenly over the source."""
    if rows.size is None:
        places = range(0, number * STRIDE, STRIDE)
    else:
        places = range(0, rows.size, max(1, rows.size // number))
    for place in places:
        row = rows[place]
        yield from row.documents
        for turn in row.turns:
            yield f"Question: {turn.question}\nAnswer: {CHAIN.join(filter(None, (turn.chain, turn.answer)))}"


def _remembered(model: Clara, rows: Source, folder: Path, process: Process) -> Remembered:
    """A store of all candidates' memories; each process fills its part."""
    model.to(process.device)
    if process.rank == 0:
        Store.create(folder, model, "float16")  # as the systems do, so that they can serve from it
    barrier(process)
    store = Store(folder)
    store.require(model)
    documents = sorted(_documents(rows))
    share, done = documents[process.rank :: process.ranks], 0
    with progress("compressing", len(share), "documents") as advance:

        def told(count: int) -> None:
            nonlocal done
            advance(count - done)
            done = count

        store.build(model, share, told, verify=process.rank == 0)
    barrier(process)
    store.refresh()
    return store.get


def _documents(rows: Source) -> set[str]:
    """Every document of a source, once.

    Raises:
        ConfigError: the source is endless.
    """
    if hasattr(rows, "documents"):
        return set(rows.documents())
    if rows.size is None:
        raise ConfigError("the rows have no end, and neither have their documents: leave --store out")
    return {document for place in range(rows.size) for document in rows[place].documents}
