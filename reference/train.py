"""The training loop: one for every stage, on one process or many, that goes on where it was stopped.

    OUT/stage.json      what is trained, from what, and on what; another run is refused
    OUT/log.jsonl       a line a step, and one an evaluation
    OUT/tensorboard/    the same to look at
    OUT/resume/         what the next step needs (see resume.py)
    OUT/best/, last/    checkpoints to use (see checkpoint.py)

Nothing of a step depends on what went before but the weights and the optimiser: its rows come from its number, its
random numbers from seed, number and rank. So a stopped run goes on as if nothing had happened, bit by bit, however
often it is evaluated; and the number of processes may change on the way.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import torch
from msgspec.structs import replace
from safetensors import SafetensorError
from torch import Tensor, distributed

from clara_bench import BackendError, BenchError, ConfigError
from reference import checkpoint
from reference import deepspeed as parallel
from reference.batches import Batch
from reference.candidates import Remembered
from reference.config import RETRIEVING, Config, TrainConfig
from reference.deepspeed import Process
from reference.handover import begin, set_out, stage_settings
from reference.losses import WeightedSum, share_of_batch
from reference.model import Clara
from reference.record import Record
from reference.resume import State, barrier, convert, open_run, restore, save, seed
from reference.stages import Stage
from reference.stream import Source, Stream

Evaluate = Callable[[Clara, int], Mapping[str, float]]
"""What a model is worth after so many steps. `score` decides which is best, or else the first; more is better."""


class Diverged(BenchError):
    """A loss is not a number any more."""


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

    Every process calls it alike. Called again, it goes on where it was stopped, or returns at once. The first SIGTERM
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
        BackendError: the disk is full.
    """
    settings = stage_settings(config, name)
    with parallel.quiet():
        process = parallel.connect()
        _check(settings, process, remembered)
        stage = Stage(set_out(model, settings) if model else begin(config, name), settings, remembered)
        stage.centre(rows)
        state = open_run(out, stage, name, process, resume, data)
        if not state.finished:
            said = {"data": dict(data or {}), **(notes or {})}
            run = _start(stage, name, rows, out, process, state, evaluate, said)
            with nullcontext() if process.rank else Record(out, name, state.step, settings.steps, progress) as record:
                _loop(run, state, record)
    return out / "best"


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same from step to step."""

    settings: TrainConfig
    name: str
    out: Path
    process: Process
    stage: Stage
    engine: Any
    stream: Stream
    evaluate: Evaluate | None
    notes: Mapping[str, Any]

    @property
    def partitioned(self) -> bool:
        """Whether no process holds whole weights outside a forward pass."""
        return self.settings.parallel.zero == 3


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
) -> _Run:
    settings = stage.config
    moved = state.step > 0 and settings.parallel.zero > 0 and state.ranks != process.ranks
    folder = convert(out, state, process) if moved else state.folder
    engine = parallel.start(stage, stage.trainable_groups(), settings, process.ranks, universal=moved)
    if state.step:
        restore(engine, out, folder)
    stream = Stream(rows, settings.batch, settings.parallel.micro_batch, settings.seed, process.rank, process.ranks)
    return _Run(settings, name, out, process, stage, engine, stream, evaluate, notes)


def _loop(run: _Run, state: State, record: Record | None) -> None:
    settings = run.settings
    with _stopping() as asked:
        while not state.finished:
            seed(settings, state.step, run.process.rank)
            begun = time.perf_counter()
            batches = [run.stage.prepare(rows, state.step) for rows in run.stream[state.step]]
            prepared = time.perf_counter()
            values, stop = _step(run, batches, bool(asked))
            if not math.isfinite(values["loss"]):
                raise Diverged(
                    f"{run.out}: the loss of step {state.step + 1} is {values['loss']}. "
                    "Lower optimiser.learning_rate and train into another folder"
                )
            finished = state.step + 1 >= settings.steps
            state = replace(state, step=state.step + 1, ranks=run.process.ranks, finished=finished)
            if record is not None:
                values |= {"prepare_seconds": prepared - begun, "seconds": time.perf_counter() - begun}
                record.step(state.step, values)
            if finished or _due(state.step, settings.evaluate_every):
                state = _judged(run, state, record)
            if finished or stop or _due(state.step, settings.save_every):
                save(run.engine, run.out, state, run.process)
            if stop:
                raise asked[0] if asked else SystemExit(128 + signal.SIGTERM)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _step(run: _Run, batches: Sequence[Batch], stop: bool) -> tuple[dict[str, float], bool]:
    """One optimiser step: what it showed, over all processes, and whether any of them is asked to stop."""
    engine, parts = run.engine, len(batches) * run.process.ranks
    weights = [sum(batch.weight for batch in batches), sum(batch.extra_weight for batch in batches)]
    weight, extra_weight, stops = _over_all(run.process, [*weights, float(stop)])
    rate, norm, seen = engine.get_lr()[0], None, []
    for number, batch in enumerate(batches, 1):
        loss = engine(batch)
        main = share_of_batch(loss.cross_entropy, run.settings.ce_form, weight, parts)
        share = main + share_of_batch(loss.extra, "token", extra_weight, parts)
        engine.backward(share * parts)  # DeepSpeed averages over micro-batches and processes; shares add up
        if number == len(batches):
            norm = _gradient_norm(engine)
        engine.step()
        one = share.new_tensor(1 / parts)
        shares = {"loss": WeightedSum(share.detach(), one), "cross_entropy": WeightedSum(main.detach(), one)}
        seen.append(shares | loss.logs)
    norm = engine.get_global_grad_norm() if norm is None else norm
    return {**_means(run, seen), "gradient_norm": float(norm or 0.0), "rate": rate, "targets": weight}, stops > 0


def _gradient_norm(engine: Any) -> Tensor | None:
    """Before clipping; None where DeepSpeed will tell it, which it does not in plain fp32."""
    if engine.zero_optimization() or engine.bfloat16_enabled() or engine.fp16_enabled():
        return None
    gradients = [parameter.grad for parameter in engine.module.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _means(run: _Run, seen: Sequence[Mapping[str, WeightedSum]]) -> dict[str, float]:
    """Weighted means over micro-batches and processes; names that nothing counted for are left out."""
    table = torch.stack([torch.stack([torch.stack(part) for part in logs.values()]) for logs in seen]).sum(0)
    sums = _over_all(run.process, table.flatten().tolist())
    pairs = zip(seen[0], sums[::2], sums[1::2], strict=True)
    return {name: total / weight for name, total, weight in pairs if weight}


def _over_all(process: Process, values: Sequence[float]) -> list[float]:
    """Sums over processes."""
    if process.ranks == 1:
        return list(values)
    summed = torch.tensor(values, dtype=torch.float64, device=process.device)
    distributed.all_reduce(summed)
    return summed.tolist()


def _judged(run: _Run, state: State, record: Record | None) -> State:
    """Evaluate the model and keep it if it is the best so far; without an evaluation, if it is the last."""
    scores = _scores(run, state.step)
    if scores and record is not None:
        record.evaluation(state.step, scores)
    score = scores.get("score", next(iter(scores.values()), None))
    if state.finished if score is None else state.best_score is None or score > state.best_score:
        _export(run, "best", state.step, scores)
        state = replace(state, best_step=state.step, best_score=score)
    if state.finished:
        _export(run, "last", state.step, scores)
    return state


def _scores(run: _Run, step: int) -> dict[str, float]:
    if run.evaluate is None:
        return {}
    model = run.stage.model
    scores: list[dict[str, float]] = [{}]
    if run.process.rank == 0 or run.partitioned:
        run.stage.eval()
        with torch.no_grad(), _whole(run, [model.memory, model.opening, model.separator]):
            scores = [dict(run.evaluate(model, step))]
        run.stage.train()
    if run.process.ranks > 1:
        distributed.broadcast_object_list(scores)
    return scores[0]


def _export(run: _Run, folder: str, step: int, scores: Mapping[str, float]) -> None:
    training = {
        "stage": run.name,
        "settings": msgspec.to_builtins(run.settings),
        "step": step,
        "ranks": run.process.ranks,
        "scores": dict(scores),
        "command": sys.argv,
        **run.notes,
    }
    with _whole(run, list(run.stage.model.parameters())):
        if run.process.rank == 0:
            try:
                checkpoint.save(run.stage.model, run.out / folder, training)
            except (OSError, SafetensorError) as error:
                message = f"{run.out / folder}: cannot be written ({error}). Make room; started again, it goes on"
                raise BackendError(message) from error
    barrier(run.process)


def _whole(run: _Run, parameters: Sequence[Tensor]) -> Any:
    """Hold these parameters whole for a while, where each process has only its part of them."""
    if not run.partitioned:
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(parameters))


@contextmanager
def _stopping() -> Iterator[list[BaseException]]:
    """SIGTERM and Ctrl-C as a list of what to raise when it suits; a second one is obeyed at once."""
    asked: list[BaseException] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    raised = {signal.SIGINT: KeyboardInterrupt(), signal.SIGTERM: SystemExit(128 + signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        asked.append(raised[signal.Signals(number)])

    before: dict[signal.Signals, Any] = {number: signal.getsignal(number) or signal.SIG_DFL for number in raised}
    for number in raised:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
