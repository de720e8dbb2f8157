"""Judging a model while it trains: it answers questions over a dev world, as the systems that use it will."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from clara_bench import Component
from clara_bench.exam import Exam
from reference.config import RETRIEVING, Evaluation, TrainConfig
from reference.model import Clara
from reference.system import ClaraSystem
from reference.text_system import TinyText

ANSWERING = ("em", "f1")
FINDING = ("recall@1", "recall@5", "all_support@5")


def evaluator(settings: TrainConfig, asked: Evaluation) -> Callable[[Clara, int], dict[str, float]]:
    """What `train` calls to judge a model; questions are made when it is first called.

    `score` is the mean over tasks of EM, and of recall@5 where labels train a reasoner (`supervised`).
    """
    setting = asked.setting or ("distractor" if settings.stage in RETRIEVING else "gold")
    exams: list[Exam] = []

    def evaluate(model: Clara, step: int) -> dict[str, float]:
        if not exams:
            exams.extend(_exam(task, setting, asked) for task in asked.tasks)
        found = {exam.task.name: _taken(exam, model, settings, asked.max_new_tokens) for exam in exams}
        return _scores(found, "recall@5" if settings.stage == "supervised" else "em")

    return evaluate


def _exam(task: str, setting: Any, asked: Evaluation) -> Exam:
    if task in asked.data:
        return Exam(task, setting, asked.data[task], limit=asked.questions, seed=asked.world_seed)
    world = {"questions": asked.questions, "passages": asked.passages, "seed": asked.world_seed}
    return Exam(task, setting, world=world)


def _taken(exam: Exam, model: Clara, settings: TrainConfig, most: int) -> dict[str, float]:
    k = settings.selection.k
    if settings.stage == "text":
        options = TinyText.Options("", retriever=Component("given"), k=k, max_new_tokens=most)
        return exam.take(TinyText(options, model), ANSWERING)
    given = None if settings.stage in RETRIEVING else Component("given")
    latent = ClaraSystem.Options("", retriever=given, k=k, store=None, max_new_tokens=most)
    return exam.take(ClaraSystem(latent, model), (*ANSWERING, *FINDING))


def _scores(found: Mapping[str, Mapping[str, float]], best: str) -> dict[str, float]:
    """The means over tasks, then each task's own."""
    names = dict.fromkeys(name for values in found.values() for name in values)
    means = {name: fmean(values[name] for values in found.values() if name in values) for name in names}
    each = {f"{task}/{name}": value for task, values in found.items() for name, value in values.items()}
    return {"score": means.get(best, means["em"]), **means, **each}
