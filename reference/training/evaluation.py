"""Evaluation during training: the model answers dev questions through the harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from clara_bench import Component, ConfigError
from clara_bench.running.in_memory import Exam
from clara_bench.running.in_memory import check as check_exam
from reference.model.clara import Clara
from reference.settings.config import RETRIEVING, Evaluation, TrainConfig
from reference.systems.clara import ClaraSystem
from reference.systems.text import TinyText

ANSWERING = ("em", "f1")
FINDING = ("recall@1", "recall@5", "all_support@5")


def evaluator(
    settings: TrainConfig, asked: Evaluation, at_once: bool = True, memories: Path | None = None
) -> Callable[[Clara, int], dict[str, float]]:
    """The evaluation that `train` calls.

    Its questions are made at once, so that what cannot be asked is refused before anything is trained; or, on a
    process that may never be called on, when they are asked.

    Passages are compressed for each evaluation; with `memories`, a folder, once for all of one compressor.

    `score` is the mean over tasks of EM, and of recall@5 where labels train a reasoner (`supervised`).
    """
    exams = [_exam(task, settings, asked) for task in asked.tasks if at_once]

    def evaluate(model: Clara, step: int) -> dict[str, float]:
        if not exams:
            exams.extend(_exam(task, settings, asked) for task in asked.tasks)
        found = {exam.task.name: _taken(exam, model, settings, asked.max_new_tokens, memories) for exam in exams}
        return _scores(found, "recall@5" if settings.stage == "supervised" else "em")

    return evaluate


def check(settings: TrainConfig, asked: Evaluation) -> None:
    """Refuse an impossible evaluation, before a file is read or a world is made.

    Raises:
        BenchError: an unknown task, a setting that it does not support, an impossible world.
    """
    for task in asked.tasks:
        check_exam(task, _setting(settings, asked), None if task in asked.data else _world(asked))
    for task in sorted(asked.data.keys() - set(asked.tasks)) if asked.tasks else ():
        raise ConfigError(f"evaluation: data of '{task}', which is not among its tasks: {', '.join(asked.tasks)}")


def _exam(task: str, settings: TrainConfig, asked: Evaluation) -> Exam:
    setting = _setting(settings, asked)
    if task in asked.data:
        return Exam(task, setting, asked.data[task], limit=asked.questions, seed=asked.world_seed)
    return Exam(task, setting, world=_world(asked))


def _setting(settings: TrainConfig, asked: Evaluation) -> Any:
    return asked.setting or ("distractor" if settings.stage in RETRIEVING else "gold")


def _world(asked: Evaluation) -> dict[str, object]:
    options: dict[str, object] = {"questions": asked.questions, "passages": asked.passages, "seed": asked.world_seed}
    return options | ({"version": asked.world_version} if asked.world_version > 1 else {})


def _taken(exam: Exam, model: Clara, settings: TrainConfig, most: int, memories: Path | None) -> dict[str, float]:
    k = settings.selection.k
    if settings.stage == "text":
        options = TinyText.Options("", retriever=Component("given"), k=k, max_new_tokens=most)
        return exam.take(TinyText(options, model), ANSWERING)
    given = None if settings.stage in RETRIEVING else Component("given")
    latent = ClaraSystem.Options(
        "",
        retriever=given,
        k=k,
        store=None if memories is None else str(memories),
        precision="float32",
        search="none",
        max_new_tokens=most,
    )
    return exam.take(ClaraSystem(latent, model), (*ANSWERING, *FINDING))


def _scores(found: Mapping[str, Mapping[str, float]], best: str) -> dict[str, float]:
    """The means over tasks, then each task's own."""
    names = dict.fromkeys(name for values in found.values() for name in values)
    means = {name: fmean(values[name] for values in found.values() if name in values) for name in names}
    each = {f"{task}/{name}": value for task, values in found.items() for name, value in values.items()}
    return {"score": means.get(best, means["em"]), **means, **each}
