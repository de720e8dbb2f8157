"""A shortcut that is learned: which value of the asked relation is right, judged by everything but the names.

A boosted classifier sees each passage as a bag of relations: what is stated and how often, of the value's subject and
of the others in its passage, where it stands, and how the passages name each other. It learns on a world of its own,
with the answers. What no symbolic rule of `audit` expresses but a trained reader could pick up, it picks up too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from clara_bench.errors import MissingDependency
from clara_bench.worlds.forms import Fact, Form

if TYPE_CHECKING:
    import numpy as np

Facts = Callable[[Iterable[str]], Sequence[Fact]]
"""From ids of passages to everything that they state."""
SEED = 0


class Exercise(NamedTuple):
    """Questions with one answer each, the passages that a reader has of each, and what passages state."""

    forms: Sequence[Form]
    passages: Callable[[Form], Sequence[str]]
    facts: Facts


def learned(train: Exercise, test: Exercise) -> list[float]:
    """Whether a classifier trained on one world chooses the right value on another: 1, 0, or 0 without any value.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    import numpy as np

    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise MissingDependency("worlds audit --trained", "scikit-learn", "retrieve") from error
    bag = _Bag(train)
    rows, right = bag.rows(train)
    model = HistGradientBoostingClassifier(random_state=SEED).fit(np.concatenate(rows), np.concatenate(right))
    tested, right = bag.rows(test)
    pairs = zip(tested, right, strict=True)
    return [_chosen(model.predict_proba(row)[:, 1], found) if len(row) else 0.0 for row, found in pairs]


def _chosen(scores: np.ndarray, right: np.ndarray) -> float:
    """The share of right values among those with the highest score."""
    return float(right[scores == scores.max()].mean())


class _Bag:
    """What the classifier sees of a value: numbers, in the relations of the world that it learns on."""

    def __init__(self, train: Exercise) -> None:
        self._train = train

    @cached_property
    def relations(self) -> list[str]:
        facts = (fact for form in self._train.forms for fact in self._train.facts(self._train.passages(form)))
        return sorted({fact.relation for fact in facts})

    def rows(self, exercise: Exercise) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """For each question a row of numbers for each value of the asked relation, and whether the value is right."""
        import numpy as np

        rows, right = [], []
        for form in exercise.forms:
            scene = _Scene(form, [tuple(exercise.facts([passage])) for passage in exercise.passages(form)])
            rows.append(np.asarray([self._row(scene, *at) for at in scene.asked], float).reshape(len(scene.asked), -1))
            right.append(np.asarray([fact.value == form.answer for _, fact in scene.asked], float))
        return rows, right

    def _row(self, scene: _Scene, place: int, fact: Fact) -> list[float]:
        own, others = scene.stated(place, fact.subject)
        bags = (Counter(step.relation for step in scene.form.steps), own, others, scene.around[place])
        counts = (float(bag[relation]) for bag in bags for relation in self.relations)
        return [*scene.of_passage[place], *scene.of_value(place, fact), *counts]


class _Scene:
    """A question's passages, in symbols."""

    def __init__(self, form: Form, passages: Sequence[Sequence[Fact]]) -> None:
        self.form, self.passages = form, passages
        self._wanted = {step.relation for step in form.steps}
        self._subjects = [list(dict.fromkeys(fact.subject for fact in facts)) for facts in passages]
        self._values = Counter(fact.value for facts in passages for fact in facts)
        self._linked = Counter(f.value for facts in passages for f in facts if f.relation in self._wanted)

    @cached_property
    def asked(self) -> list[tuple[int, Fact]]:
        """Every value of the asked relation, with the place of its passage."""
        wanted = self.form.steps[self.form.ends[0]].relation
        return [(place, fact) for place, facts in enumerate(self.passages) for fact in facts if fact.relation == wanted]

    def stated(self, place: int, subject: str) -> tuple[Counter[str], Counter[str]]:
        """The relations that a passage states of a subject, and of its others."""
        own = Counter(fact.relation for fact in self.passages[place] if fact.subject == subject)
        return own, Counter(fact.relation for fact in self.passages[place] if fact.subject != subject)

    @cached_property
    def around(self) -> list[Counter[str]]:
        """For each passage the relations by which others name what it is about."""
        found: list[Counter[str]] = [Counter() for _ in self.passages]
        where = {subject: place for place, names in enumerate(self._subjects) for subject in names}
        for place, facts in enumerate(self.passages):
            for fact in facts:
                if where.get(fact.value, place) != place:
                    found[where[fact.value]][fact.relation] += 1
        return found

    @cached_property
    def of_passage(self) -> list[list[float]]:
        """For each passage where it stands, its size, and how it and the others name each other."""
        where = {subject: place for place, names in enumerate(self._subjects) for subject in names}
        found: list[list[float]] = []
        for place, (facts, names) in enumerate(zip(self.passages, self._subjects, strict=True)):
            out = [fact.relation in self._wanted for fact in facts if where.get(fact.value, place) != place]
            linked = sum(self._linked[name] for name in names)
            found.append([place, len(self.passages), len(names), len(facts), linked, len(out), sum(out)])
        return found

    def of_value(self, place: int, fact: Fact) -> list[float]:
        """Where a value stands, and how often it and its subject are stated."""
        return [
            len(self.asked),
            len(self.form.steps),
            self._subjects[place].index(fact.subject),
            fact.sentence,
            self._values[fact.value],
            self._asked_values[fact.value],
            self._values[fact.subject],
            self._linked[fact.subject],
        ]

    @cached_property
    def _asked_values(self) -> Counter[str]:
        return Counter(fact.value for _, fact in self.asked)
