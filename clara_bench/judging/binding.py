"""From a plug-in's metric to one that can be measured over some questions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, SupportsFloat

from clara_bench.components.registry import plugin_errors
from clara_bench.errors import ConfigError
from clara_bench.judging import verdicts
from clara_bench.judging.verdicts import Key, Line, digest_of, key_of
from clara_bench.metrics.case import Case
from clara_bench.metrics.metric import Metric
from clara_bench.metrics.plugin import is_judge
from clara_bench.types import Answered, Example, Question


def bound(metrics: Iterable[Metric], examples: Sequence[Example], *files: Path) -> list[Metric]:
    """The metrics, those of plug-ins able to measure; a judge is left out where a file has no verdict of it.

    Args:
        metrics: any.
        examples: the questions that will be measured.
        files: of verdicts, one for each run that will be measured.

    Raises:
        DataError: a file of verdicts cannot be read.
    """
    chosen = list(metrics)
    if all(metric.plugin is None for metric in chosen):
        return chosen
    held = [verdicts.read(file) for file in files] if any(map(is_judge, chosen)) else []
    questions = {example.question.id: example.question for example in examples}
    found = (_bound(metric, questions, held) for metric in chosen)
    return [metric for metric in found if metric is not None]


def _bound(metric: Metric, questions: Mapping[str, Question], held: Sequence[Mapping[Key, Line]]) -> Metric | None:
    if metric.plugin is None:
        return metric
    if not is_judge(metric):
        return replace(metric, measure=partial(_scored, metric, questions))
    judge = key_of(metric)
    own = [{key: line for key, line in one.items() if key[0] == judge} for one in held]
    if not own or not all(own):
        return None
    values = {key[1:]: checked(line.value, metric, line.id) for one in own for key, line in one.items()}
    return replace(metric, measure=partial(_judged, values))


def _scored(metric: Metric, questions: Mapping[str, Question], case: Case) -> float | None:
    assert metric.plugin is not None, f"{metric.name} is no plug-in"
    id, score = case.record.id, metric.plugin.instance.score
    with plugin_errors(f"question '{id}': metric '{metric.name}'"):
        value = score(Answered(questions[id], case.truth.gold, case.record.answer))
    return checked(value, metric, id)


def _judged(values: Mapping[tuple[str, str], float | None], case: Case) -> float | None:
    """The verdict on an answer; an empty one is never right, and is not judged."""
    if not case.record.answer.text.strip():
        return 0.0
    return values.get((case.record.id, digest_of(case.record.answer)))


def checked(value: Any, metric: Metric, id: str) -> float | None:
    """A value of a plug-in, if it is one of the metric's unit.

    Raises:
        ConfigError: it is not.
    """
    lowest, highest = (0.0, 1.0) if metric.unit == "fraction" else (-math.inf, math.inf)
    match value:
        case None:
            return None
        case SupportsFloat() if math.isfinite(float(value)) and lowest <= float(value) <= highest:
            return float(value)
    expected = "a number from 0 to 1, or None" if metric.unit == "fraction" else "a finite number, or None"
    raise ConfigError(f"question '{id}': metric '{metric.name}' returned {value!r:.100}, expected {expected}")
