"""The training loop of every stage, on one or many processes, resumable.

    OUT/lock            held while a process trains here
    OUT/stage.json      what is trained, from what, and on what; another run is refused
    OUT/log.jsonl       one line per step and per evaluation
    OUT/tensorboard/    the same to look at
    OUT/resume/         what the next step needs (see resume.py)
    OUT/best/, last/    checkpoints to use (see checkpoint.py)

Apart from weights and optimiser, a step depends only on its number: it determines the rows, and with seed and rank the
random numbers. A resumed run is therefore bit-identical to an uninterrupted one, however often it is evaluated, and
the number of processes may change.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace

from clara_bench import BackendError, BenchError, ConfigError
from clara_bench.io.cache import locked
from reference.data.stream import Source, Stream
from reference.model.clara import Clara
from reference.objectives.candidates import Remembered
from reference.objectives.stages import Stage
from reference.settings.config import RETRIEVING, Config, TrainConfig
from reference.training import deepspeed as parallel
from reference.training.deepspeed import Process
from reference.training.log import Record
from reference.training.resume import State, convert, open_run, restore, save, seed
from reference.training.step import Evaluate, Run, take_step
from reference.training.stopping import stopping
from reference.training.validation import judged
from reference.weights.initialization import begin, set_out, stage_settings, teacher_of


class Diverged(BenchError):
    """The loss became NaN."""


def train(
    config: Config,
    name: str,
    rows: Source,
    out: Path,
    model: Clara | None = None,
    remembered: Remembered | None = None,
    evaluate: Evaluate | None = None,
    resume: bool = True,
    progress: bool = True,
    notes: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Path:
    """Train a model through one stage.

    Every process calls it alike. Called again, it resumes where it stopped, or returns at once. The first SIGTERM
    or Ctrl-C lets the step end, saves, and leaves by SystemExit or KeyboardInterrupt.

    Args:
        config: holds the stage's settings under its name.
        name: that name.
        rows: what to train on, by position.
        out: folder for all that is written.
        model: from where the stage starts, and is changed; None: see `begin`.
        remembered: candidates' memories, such as `Store.get`; None compresses each document once and keeps it.
        evaluate: called every `evaluate_every` steps and at the end, on the first process (ZeRO-3: on all).
        resume: False refuses a folder in which training was begun.
        progress: show a line if stderr is a terminal.
        notes: what else the checkpoints' manifests should say.
        data: the options that `rows` were made from; in the manifests too, and refused if they change on the way.

    Returns:
        The checkpoint with the best score; without `evaluate`, the last.

    Raises:
        ConfigError: no such stage, a batch that does not divide among the processes, another run's folder.
        Diverged: the loss is not finite.
        BackendError: the disk is full, or the device's memory too small.
    """
    settings = stage_settings(config, name)
    with parallel.quiet(), _memory_named(out):
        process = parallel.connect()
        _check(settings, process, remembered)
        with nullcontext() if process.rank else locked(out):
            learner = set_out(model, settings) if model else begin(config, name)
            stage = Stage(learner, settings, remembered, teacher_of(config, name, learner))
            stage.centre(rows)
            state = open_run(out, stage, name, process, resume, data)
            if not state.finished:
                said = {"data": dict(data or {}), **(notes or {})}
                run = _start(stage, name, rows, out, process, state, evaluate, said)
                log = nullcontext() if process.rank else Record(out, name, state.step, settings.steps, progress)
                with log as record:
                    _loop(run, state, record)
    return out / "best"


@contextmanager
def _memory_named(out: Path) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = " ".join(str(error).split())[:200]
        raise BackendError(
            f"{out}: the device's memory is too small ({reason}). Lower parallel.micro_batch "
            "or set parallel.activation_checkpointing; started again, training goes on at the last save"
        ) from error


def _check(settings: TrainConfig, process: Process, remembered: Remembered | None) -> None:
    parallel.accumulation(settings, process.ranks)
    if settings.parallel.precision == "fp16" and process.device.type == "cpu":
        raise ConfigError("parallel.precision fp16 needs a GPU. On a CPU choose fp32 or bf16")
    if settings.parallel.zero == 3 and process.ranks > 1 and settings.stage in RETRIEVING and remembered is None:
        raise ConfigError(
            f"stage '{settings.stage}' with parallel.zero 3 on {process.ranks} processes needs a store of the "
            "documents' memories: each process would compress other documents, and wait for the others for ever"
        )


def _start(
    stage: Stage,
    name: str,
    rows: Source,
    out: Path,
    process: Process,
    state: State,
    evaluate: Evaluate | None,
    notes: Mapping[str, Any],
) -> Run:
    settings = stage.config
    moved = state.step > 0 and settings.parallel.zero > 0 and state.ranks != process.ranks
    folder = convert(out, state, process) if moved else state.folder
    engine = parallel.start(stage, stage.trainable_groups(), settings, process.ranks, universal=moved)
    if state.step:
        restore(engine, out, folder)
    stream = Stream(rows, settings.batch, settings.parallel.micro_batch, settings.seed, process.rank, process.ranks)
    return Run(settings, name, out, process, stage, engine, stream, evaluate, notes)


def _loop(run: Run, state: State, record: Record | None) -> None:
    settings = run.settings
    with stopping() as asked:
        while not state.finished:
            seed(settings, state.step, run.process.rank)
            begun, worked = time.perf_counter(), time.process_time()
            batches = [run.stage.prepare(rows, state.step) for rows in run.stream[state.step]]
            prepared = time.perf_counter()
            values, stop = take_step(run, batches, bool(asked))
            if not math.isfinite(values["loss"]):
                raise Diverged(
                    f"{run.out}: the loss of step {state.step + 1} is {values['loss']}. "
                    "Lower optimiser.learning_rate and train into another folder"
                )
            finished = state.step + 1 >= settings.steps
            state = replace(state, step=state.step + 1, ranks=run.process.ranks, finished=finished)
            if record is not None:
                values |= {"prepare_seconds": prepared - begun, "seconds": time.perf_counter() - begun}
                values |= {"cpu_seconds": time.process_time() - worked}  # what a shared processor does not move
                record.step(state.step, values)
            if finished or _due(state.step, settings.evaluate_every):
                state = judged(run, state, record)
            if finished or stop or _due(state.step, settings.save_every):
                save(run.engine, run.out, state, run.process)
            if stop:
                raise asked[0] if asked else SystemExit(128 + signal.SIGTERM)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
