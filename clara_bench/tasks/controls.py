"""Controls: other evidence than a setting's own, given to the same system.

A score says something about reading only where it is well above the scores that the same system gets from another
question's passages, from passages drawn at random, from none, or from one gold passage alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clara_bench.errors import ConfigError
from clara_bench.io.cache import digest
from clara_bench.tasks.sources import TaskData
from clara_bench.text import composed
from clara_bench.types import Control, Example, Setting

ONE_GOLD: frozenset[Control] = frozenset({"first", "last"})
NO_SEARCH: frozenset[Control] = frozenset({"random", "first", "last"})
"""Controls that offer no more passages than the system reads. Nothing is left to rank, and all of them are read."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """A control with what decides its passages."""

    control: Control
    seed: int = 0
    reads: int | None = None
    """How many passages the system reads; None if it does not say."""


def refuse_control(chosen: Controlled, data: TaskData, examples: Sequence[Example], setting: Setting) -> None:
    """Refuse a control that the setting or the data cannot have.

    Raises:
        ConfigError: with the way out.
    """
    control = chosen.control
    if setting == "closed":
        raise ConfigError(f"--control {control}: setting 'closed' gives no passages to replace. Use another --setting")
    if control == "shuffled" and setting == "corpus":
        raise ConfigError(
            "--control shuffled gives each question another question's candidates, and in setting 'corpus' there are "
            "none. Use --setting retrieved, distractor or gold"
        )
    if control == "random" and setting == "corpus" and chosen.reads is None:
        raise ConfigError(
            "--control random: the system has no option k, so it is not known how many passages it reads of the whole "
            "corpus. Use --setting retrieved, distractor or gold"
        )
    if control in ONE_GOLD:
        unmarked = sum(not e.gold.supporting or e.question.id in data.missing_gold for e in examples)
        if unmarked:
            raise ConfigError(
                f"--control {control}: the gold passages of {unmarked} of {len(examples)} questions of "
                f"{data.task.name} are not in the data. Add --corpus FILE, or --complete-gold to leave them out"
            )


def ring(examples: Sequence[Example], seed: int) -> list[int]:
    """Places of the examples in an order that depends on seed and ids alone."""
    return sorted(range(len(examples)), key=lambda index: digest([str(seed), examples[index].question.id]))


def partners(chosen: Controlled, data: TaskData, examples: Sequence[Example], setting: Setting) -> dict[str, Example]:
    """By question the one whose passages it is given: the next of a seeded order that shares no gold passage with it.

    The order is that of all questions of the data, so that a larger sample changes nothing.

    Raises:
        ConfigError: a question has no such other one.
    """
    usable = [data.examples[place] for place in ring(data.examples, chosen.seed)]
    usable = [example for example in usable if _has_passages(example, data, setting)]
    places = {example.question.id: place for place, example in enumerate(usable)}
    return {e.question.id: _next(e, usable, places.get(e.question.id, -1), data.task.name) for e in examples}


def _has_passages(example: Example, data: TaskData, setting: Setting) -> bool:
    if setting == "distractor":
        return bool(example.question.candidates)
    known = bool(example.gold.supporting) and example.question.id not in data.missing_gold
    return known or setting not in ("gold", "injected")


def _next(example: Example, usable: Sequence[Example], place: int, task: str) -> Example:
    for other in (*usable[place + 1 :], *usable[: max(place, 0)]):
        if not other.gold.supporting & example.gold.supporting:
            return other
    raise ConfigError(
        f"--control shuffled: {task} has no other question with other gold passages than '{example.question.id}'. "
        "Use more questions or another control"
    )


class Evidence:
    """Gives each question the passages of a control."""

    def __init__(self, chosen: Controlled, data: TaskData, setting: Setting, others: Mapping[str, Example]) -> None:
        """The control over a task's data.

        Args:
            chosen: the control.
            data: the task's data.
            setting: the one whose passages are replaced.
            others: the partner of each question, with the candidates that the setting gives it; {} unless shuffled.
        """
        self._chosen, self._data, self._setting, self._others = chosen, data, setting, others
        self._corpus = tuple(data.corpus)

    def __call__(self, example: Example, placed: Example) -> Example:
        """The example with its passages replaced.

        Args:
            example: as the data have it.
            placed: with the candidates that the setting gives it.
        """
        return replace(placed, question=replace(placed.question, candidates=self._passages(example, placed)))

    def _passages(self, example: Example, placed: Example) -> tuple[str, ...]:
        control = self._chosen.control
        if control == "empty":
            return ()
        if control == "shuffled":
            theirs = self._others[example.question.id].question.candidates or ()
            return tuple(id for id in theirs if id not in example.gold.supporting)
        if control == "random":
            return self._drawn(example, placed)
        in_order = gold_in_order(example, self._data)
        return in_order[:1] if control == "first" else in_order[-1:]

    def _drawn(self, example: Example, placed: Example) -> tuple[str, ...]:
        """Of the passages that the setting offers, or for setting gold of the question's own, or of the corpus."""
        gold = self._setting == "gold"
        offered = (example if gold else placed).question.candidates
        pool = self._corpus if offered is None or (gold and not offered) else offered
        number = len(example.gold.supporting) if gold else self._chosen.reads
        draw = random.Random(digest([str(self._chosen.seed), example.question.id]))
        return tuple(draw.sample(pool, min(len(pool), len(pool) if number is None else number)))


def gold_in_order(example: Example, data: TaskData) -> tuple[str, ...]:
    """The gold passages in the order of the hops where the data say it, else in the order that the data give them.

    MuSiQue names a paragraph with each step. HotpotQA and 2WikiMultihopQA list supporting sentences: 2WikiMultihopQA
    and the synthetic worlds in the order of the hops, HotpotQA in that of its annotators.
    """
    gold = example.gold.supporting
    titles = {composed(data.corpus[id].title): id for id in gold if id in data.corpus}
    named = (titles.get(composed(fact.title), "") for fact in example.gold.facts)
    for told in (data.steps.get(example.question.id, ()), tuple(dict.fromkeys(named))):
        if frozenset(told) == gold:
            return told
    return gold_as_given(example)


def gold_as_given(example: Example) -> tuple[str, ...]:
    """Gold passages in the data's own order where it has one, else by id."""
    gold, given = example.gold.supporting, example.question.candidates or ()
    return tuple(id for id in given if id in gold) if gold <= set(given) else tuple(sorted(gold))
