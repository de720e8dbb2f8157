"""Validation during training, and the best and last checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import msgspec
import torch
from msgspec.structs import replace
from safetensors import SafetensorError
from torch import Tensor, distributed

from clara_bench import BackendError
from reference.training.log import Record
from reference.training.resume import State, barrier
from reference.training.step import Run
from reference.weights import checkpoint


def judged(run: Run, state: State, record: Record | None) -> State:
    """Evaluate the model and save it if it is the best so far; without an evaluation, if it is the last."""
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


def _scores(run: Run, step: int) -> dict[str, float]:
    if run.evaluate is None:
        return {}
    model = run.stage.model
    scores: list[dict[str, float]] = [{}]
    if run.process.rank == 0 or run.partitioned:
        run.stage.eval()
        with torch.no_grad(), _whole(run, list(model.vectors().values())):
            scores = [dict(run.evaluate(model, step))]
        run.stage.train()
    if run.process.ranks > 1:
        distributed.broadcast_object_list(scores)
    return scores[0]


def _export(run: Run, folder: str, step: int, scores: Mapping[str, float]) -> None:
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


def _whole(run: Run, parameters: Sequence[Tensor]) -> Any:
    """Gather these parameters in full for the block, if each process holds only a part."""
    if not run.partitioned:
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(parameters))
