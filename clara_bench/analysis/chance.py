"""Chance lines: what is scored without reading.

A coin on two-way questions, the most frequent answer to all of them, and, on synthetic worlds, a reader that finds the
right relation in a random one of the passages offered. A system at these lines has shown nothing about its evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from clara_bench import metrics
from clara_bench.analysis.two_way import options
from clara_bench.io.parsing import convert
from clara_bench.metrics import Metric
from clara_bench.records.results import Run
from clara_bench.reporting.leaderboard import Board, Guess
from clara_bench.text import normalise
from clara_bench.types import Answer, Example, Record

if TYPE_CHECKING:
    from clara_bench.worlds import Form, World

COIN = "chance: a coin on two-way questions"
FREQUENT = "chance: the most frequent answer"
RELATION = "chance: the right relation in a random passage"

Guessed = Mapping[str, float]
"""Answers to one question, with their probabilities."""


class Chance:
    """Computes chance lines; a world is made once for all runs over it."""

    def __init__(self) -> None:
        self._worlds: dict[bytes, tuple[World, dict[str, Form]]] = {}

    def lines(self, run: Run, names: Sequence[str]) -> tuple[Guess, ...]:
        """The chance lines of a run's questions and candidates, for those metrics that score an answer alone."""
        examples, scorer = run.examples, run.manifest["task"]["answer_scorer"]
        chosen = [metric for metric in (metrics.get(name, scorer) for name in names) if _of_answers(metric)]
        guessed = {COIN: [_coin(e) for e in examples], FREQUENT: _frequent(examples), RELATION: self._of_world(run)}
        return tuple(
            Guess(label, {metric.name: _expected(metric, examples, of) for metric in chosen})
            for label, of in guessed.items()
            if any(of)
        )

    def _of_world(self, run: Run) -> list[Guessed]:
        """Of each question what the reader of the right relation answers; [] where that is not known."""
        provenance = run.manifest["data"]["provenance"]
        examples = run.examples
        if provenance["source"] != "worlds" or any(e.question.candidates is None for e in examples):
            return []
        world, forms = self._world(str(provenance["schema"]), provenance["config"])
        known = [forms.get(example.question.text) for example in examples]
        return [_of_form(form, world, example) for form, example in zip(known, examples, strict=True) if form]

    def _world(self, schema: str, config: Mapping[str, object]) -> tuple[World, dict[str, Form]]:
        from clara_bench.worlds import WorldConfig, generate

        key = msgspec.json.encode((schema, config))
        if key not in self._worlds:
            world = generate(schema, convert(config, WorldConfig, "the manifest's world"))
            asked = (str(row["question"]) for row in world.rows)
            self._worlds[key] = world, dict(zip(asked, world.forms, strict=True))
        return self._worlds[key]


def added(boards: Sequence[Board], runs: Sequence[Run], chance: Chance | None = None) -> list[Board]:
    """The boards with chance lines below each section.

    Args:
        boards: made of `runs`.
        runs: those of the boards, each a run or part of one.
        chance: what computes the lines; one of its own by default.
    """
    made = chance or Chance()
    by_place = {(r.manifest["questions"]["hash"], r.manifest["candidates"]["hash"]): r for r in runs}
    found = []
    for board in boards:
        names = list(dict.fromkeys(name for row in board.rows for name in row.metrics))
        sections = [
            replace(one, guesses=made.lines(by_place[board.questions_hash, one.candidates_hash], names))
            for one in board.sections
        ]
        found.append(replace(board, sections=tuple(sections)))
    return found


def _of_answers(metric: Metric) -> bool:
    return metric.family == "answer" and metric.unit == "fraction" and metric.needs <= {"answer"}


def _coin(example: Example) -> Guessed:
    named = options(example)
    return {} if named is None else dict.fromkeys(named, 0.5)


def _frequent(examples: Sequence[Example]) -> list[Guessed]:
    """The most frequent gold answer, of several the first in the alphabet, for every question."""
    times = Counter(normalise(example.gold.answers[0]) for example in examples if example.gold.answers)
    if not times:
        return []
    answer = min(times, key=lambda one: (-times[one], one))
    return [{answer: 1.0}] * len(examples)


def _of_form(form: Form, world: World, example: Example) -> Guessed:
    from clara_bench.worlds import guesses

    offered = example.question.candidates
    if not offered:
        return {}
    return guesses(replace(form, candidates=offered), {passage: world.facts(passage) for passage in offered})


def _expected(metric: Metric, examples: Sequence[Example], guessed: Sequence[Guessed]) -> float:
    """The mean over the questions that count for a metric; 0 where there is none."""
    pairs = zip(examples, guessed, strict=True)
    return fmean([_value(metric, *pair) for pair in pairs if metric.applies(pair[0].gold)] or [0.0])


def _value(metric: Metric, example: Example, guessed: Guessed) -> float:
    values = ((metric.score(example.gold, Record(example.question.id, Answer(text))), p) for text, p in guessed.items())
    return sum((value or 0.0) * p for value, p in values)
