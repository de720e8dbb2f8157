"""What can be had from a world's questions without reading them: shortcuts, each beside chance.

A shortcut uses some of the evidence and ignores the rest. All are worked out from the facts in symbols, so that each
score is what a perfect reader of that kind would get; two are learned (learned.py). The settings are those of the
tasks: the candidates of a question (distractor), or the gold passages alone (gold).
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

from clara_bench.worlds.forms import Fact, Form
from clara_bench.worlds.knowledge.ontology import AWARDED
from clara_bench.worlds.learned import Exercise, learned
from clara_bench.worlds.world import World, generate

MARGIN = 0.05
"""How far above chance a shortcut may be."""
DRAWS = 20
"""Random fives, a question."""
PRACTICE = 1000
"""Questions that the trained shortcuts learn on."""

Facts = Sequence[Fact]


class Finding(NamedTuple):
    """One shortcut on one kind of question."""

    setting: str
    """distractor or gold."""
    shortcut: str
    kind: str
    """The data set's kind of question, with its link; "value", "two-way" and "all" for their means."""
    questions: int
    score: float
    """Expected exact match, 0 to 1."""
    chance: float
    """Distractor: a draw from the values of the asked relation in all candidates. Gold: a draw from the members of one
    passage. Half for questions with two possible answers."""

    @property
    def passes(self) -> bool:
        """Whether the shortcut is at most `MARGIN` above chance."""
        return self.score <= self.chance + MARGIN


SHORTCUTS: dict[str, tuple[str, str]] = {
    "closed book": ("distractor", "the most frequent value of the asked relation, or the first of two answers"),
    "random five": ("distractor", "a value of the asked relation in five random candidates"),
    "linked": ("distractor", "a value of the asked relation, of something that another candidate names"),
    "any chain": ("distractor", "the end of any chain of the question's relations, whatever it starts from"),
    "last passage": ("gold", "a value of the asked relation in the last gold passage"),
    "first passage": ("gold", "a value of the asked relation in the first gold passage"),
    "any gold passage": ("gold", "a value of the asked relation in any gold passage"),
    "gold chain": ("gold", "the end of any chain of the question's relations through the gold passages"),
    "trained": ("distractor", "a value of the asked relation, by a classifier that learned without names"),
    "trained, gold": ("gold", "the same in the gold passages"),
}
"""Setting and description of each shortcut."""


def practice(schema_name: str, world: World) -> World:
    """A world of other names, with the same options, for the trained shortcuts to learn on."""
    config = replace(world.config, split="train", questions=PRACTICE, passages=4 * PRACTICE, unanswerable_fraction=0.0)
    return generate(schema_name, config)


def audit(world: World, train: World | None = None) -> list[Finding]:
    """Every shortcut on every kind of question of a world, and on value, two-way and all questions.

    Args:
        world: whose questions are asked.
        train: another world of the same schema, on whose questions the trained shortcuts learn; None leaves these out.

    Raises:
        MissingDependency: see `learned`.
    """
    auditor = _Auditor(world)
    scores = [(form, auditor.scores(form)) for form in world.forms]
    if train is not None:
        _add_trained(scores, auditor, _Auditor(train))
    found = []
    for name, (setting, _) in SHORTCUTS.items():
        if name not in scores[0][1]:
            continue
        groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for form, of in scores:
            pair = (of[name], auditor.chance(form, setting))
            for kind in (_kind(form), "value" if form.ask == "value" else "two-way", "all"):
                groups[kind].append(pair)
        for kind, pairs in groups.items():
            score, chance = (fmean(column) for column in zip(*pairs, strict=True))
            found.append(Finding(setting, name, kind, len(pairs), score, chance))
    return found


def _add_trained(scores: Sequence[tuple[Form, dict[str, float]]], auditor: _Auditor, teacher: _Auditor) -> None:
    evidence: dict[str, Callable[[Form], Sequence[str]]] = {
        "trained": lambda form: form.candidates,
        "trained, gold": lambda form: form.gold,
    }
    for name, passages in evidence.items():
        train, test = (
            Exercise([form for form in one.world.forms if form.ask == "value"], passages, one.facts)
            for one in (teacher, auditor)
        )
        values = iter(learned(train, test))
        for form, of in scores:
            of[name] = next(values) if form.ask == "value" else 0.5


class _Auditor:
    def __init__(self, world: World) -> None:
        self.world = world
        self._told: dict[str, tuple[Fact, ...]] = {}

    def facts(self, passages: Iterable[str]) -> list[Fact]:
        for passage in passages:
            if passage not in self._told:
                self._told[passage] = self.world.facts(passage)
        return [fact for passage in passages for fact in self._told[passage]]

    @cached_property
    def values(self) -> Mapping[str, Counter[str]]:
        """Relation -> how many passages of the corpus state each value."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for fact in self.facts([passage["id"] for passage in self.world.corpus]):
            found[fact.relation][fact.value] += 1
        return found

    @cached_property
    def ordered(self) -> Mapping[str, list[int]]:
        """Relation with numbers as values -> all of them in order."""
        numeric = {key: values for key, values in self.values.items() if all(map(_is_number, values))}
        return {key: sorted(map(_number, values.elements())) for key, values in numeric.items()}

    def chance(self, form: Form, setting: str) -> float:
        if form.ask != "value":
            return 0.5
        if setting == "gold":
            return 1 / max(2, self.world.config.group)
        return _draw(_asked(form, self.facts(form.candidates)), form.answer)

    def scores(self, form: Form) -> dict[str, float]:
        gold, offered = self.facts(form.gold), self.facts(form.candidates)
        return {
            "closed book": self._closed_book(form),
            "random five": self._random_five(form),
            "linked": self._guess(form, _linked(form, offered)),
            "any chain": self._guess(form, _chains(form, offered)),
            "last passage": self._one_passage(form, form.gold[-1]),
            "first passage": self._one_passage(form, form.gold[0]),
            "any gold passage": self._guess(form, _asked(form, gold)),
            "gold chain": self._guess(form, _chains(form, gold)),
        }

    def _guess(self, form: Form, values: Sequence[str]) -> float:
        if form.ask != "value":
            return 0.5
        return _draw(values, form.answer) if values else self._closed_book(form)

    def _closed_book(self, form: Form) -> float:
        if form.ask != "value":
            return 0.5
        counts = self.values[_relation(form)]
        most = max(counts.values())
        best = [value for value, count in counts.items() if count == most]
        return _draw(best, form.answer)

    def _random_five(self, form: Form) -> float:
        chooser = random.Random(form.candidates[0])
        fives = (chooser.sample(form.candidates, min(5, len(form.candidates))) for _ in range(DRAWS))
        return fmean(self._guess(form, _asked(form, self.facts(five))) for five in fives)

    def _one_passage(self, form: Form, passage: str) -> float:
        told = self.facts([passage])
        if form.ask in ("low", "high"):
            return self._by_size(form, told)
        return self._guess(form, _asked(form, told))

    def _by_size(self, form: Form, told: Facts) -> float:
        """Which of two is lower or higher, by whether the one value that is told is low or high among all."""
        for branch, end in enumerate(form.ends):
            step, subject = form.steps[end], _subject(form, end)
            own = [fact.value for fact in told if fact.relation == step.relation and fact.subject == subject]
            if own:
                ranked, value = self.ordered[step.relation], _number(own[0])
                below, above = bisect_left(ranked, value), len(ranked) - bisect_right(ranked, value)
                chosen = branch if (below < above) == (form.ask == "low") else 1 - branch
                return float(form.options[chosen] == form.answer)
        return 0.5


def _subject(form: Form, place: int) -> str:
    """Whom a step is about, by name."""
    subject = form.steps[place].subject
    return form.steps[int(subject[1:]) - 1].answer if subject.startswith("#") else subject


def _relation(form: Form) -> str:
    return form.steps[form.ends[0]].relation


def _asked(form: Form, facts: Facts) -> list[str]:
    """The values of the relation that is asked for."""
    relation = _relation(form)
    return [fact.value for fact in facts if fact.relation == relation]


def _linked(form: Form, facts: Facts) -> list[str]:
    """Those of subjects that are the value of another fact; all of them where the question has one step."""
    if len(form.steps) == 1:
        return _asked(form, facts)
    named = {fact.value for fact in facts}
    return [fact.value for fact in facts if fact.relation == _relation(form) and fact.subject in named]


def _chains(form: Form, facts: Facts) -> list[str]:
    """The ends of all chains of the question's relations, from any start; awards link as in the question."""
    if form.ask != "value":
        return []
    by_relation: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_relation[fact.relation].append(fact)
    reached: list[set[str]] = []
    ends: list[str] = []
    for step in form.steps:
        told = by_relation[step.relation]
        if step.subject.startswith("#"):
            told = [fact for fact in told if fact.subject in reached[int(step.subject[1:]) - 1]]
        if step.relation == AWARDED and step.qualifier.startswith("#"):
            told = [fact for fact in told if fact.qualifier in reached[int(step.qualifier[1:]) - 1]]
        ends = [fact.value for fact in told]
        reached.append(set(ends))
    return ends


def _draw(values: Sequence[str], answer: str) -> float:
    return values.count(answer) / len(values) if values else 0.0


def _kind(form: Form) -> str:
    return f"{form.kind}-{form.link}" if form.link else form.kind


def _number(value: str) -> int:
    return int(value.replace(",", ""))


def _is_number(value: str) -> bool:
    return value.replace(",", "").isdecimal()
