"""Generates a world: its passages, then questions about them, kind by kind in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clara_bench.errors import ConfigError
from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.forms import Fact, Form, facts, form
from clara_bench.worlds.questions.candidates import candidates
from clara_bench.worlds.questions.plans import Desk, Plan
from clara_bench.worlds.rows import Item, Press, open_press
from clara_bench.worlds.schemas import Source, schema

ATTEMPTS = 20_000
"""Tries for one question before the world counts as used up."""


@dataclass(frozen=True, slots=True)
class World:
    """A synthetic encyclopaedia and questions over it."""

    rows: list[dict[str, Any]]
    """Questions in the official raw form of the schema."""
    corpus: list[dict[str, str]]
    """Every passage as id, title, text; titles are unique."""
    forms: list[Form]
    """The logical form of each row, in the same order."""
    press: Press = field(repr=False, compare=False)
    """Internal state of the world."""

    @property
    def config(self) -> WorldConfig:
        """What the world was made from."""
        return self.press.world.config

    def facts(self, passage_id: str) -> tuple[Fact, ...]:
        """Everything that a passage states, in symbols.

        Raises:
            KeyError: no such passage.
        """
        return facts(self.press, self.entity(passage_id))

    def entity(self, passage_id: str) -> int:
        """The number of the entity that a passage is about: its host, where there are several.

        Raises:
            KeyError: no such passage.
        """
        digits = passage_id.removeprefix("w")
        number = int(digits) if digits.isdecimal() else len(self.corpus)
        if number >= len(self.corpus) or self.corpus[number]["id"] != passage_id:
            raise KeyError(passage_id)
        return self.press.world.order[number]


def generate(schema_name: str, config: WorldConfig) -> World:
    """A world with questions in the raw form of nq, hotpotqa, musique or 2wikimultihopqa.

    The same arguments give the same world on every machine, and all four schemas the same corpus.

    Raises:
        UnknownName: no such schema.
        ConfigError: more questions than the world can carry, or unanswerable ones where there are none.
    """
    chosen = schema(schema_name)
    if config.unanswerable_fraction and schema_name != "musique":
        raise ConfigError(
            f"world: unanswerable_fraction is {config.unanswerable_fraction} for {schema_name}, expected 0: "
            "only musique has unanswerable questions"
        )
    press = open_press(schema_name, config)
    items = list(_items(press, chosen.hard if press.world.hard else chosen.easy, schema_name))
    return compose(press, items, chosen.row)


def compose(press: Press, items: Sequence[Item], row: Callable[[Press, Item], dict[str, Any]]) -> World:
    """A world of questions that are ready to be written."""
    return World([row(press, item) for item in items], _corpus(press), [form(press, item) for item in items], press)


def _corpus(press: Press) -> list[dict[str, str]]:
    names, ids, text = press.world.names, press.ids, press.writer.text
    return [{"id": ids[entity], "title": names[entity], "text": text(entity)} for entity in press.world.order]


def _items(press: Press, sources: tuple[Source, ...], purpose: str) -> Iterator[Item]:
    """The questions, all different."""
    config, draw = press.world.config, press.world.draw(f"candidates of {purpose}")
    desk = Desk(press.world, press.world.draw(f"questions of {purpose}"))
    asked: set[str] = set()
    done: Counter[str] = Counter()
    for number in range(config.questions):
        source = sources[number % len(sources)]
        plan, question = _new(press, desk, source, done[source.name], asked)
        done[source.name] += 1
        removed = draw.pick(plan.gold) if _unanswerable(number, config.unanswerable_fraction) else None
        yield Item(plan, question, candidates(press.world, plan, config.candidates, draw, removed), removed)


def _new(press: Press, desk: Desk, source: Source, turn: int, asked: set[str]) -> tuple[Plan, str]:
    """A plan that was not there yet, and its words."""
    for _ in range(ATTEMPTS):
        plan = source.plan(desk, turn)
        if plan is None or (key := _key(plan)) in asked:
            continue
        question = press.asker.word(plan)
        told = not plan.options and plan.answer.lower() in question.lower()
        if told or question in asked:
            continue
        asked.update((key, question))
        return plan, question
    config = press.world.config
    raise ConfigError(
        f"world: {config.passages} passages allow only {turn} questions of kind {source.name}: "
        f"ask for fewer than {config.questions} questions or for more passages"
    )


def _key(plan: Plan) -> str:
    """What makes two plans the same question, whatever the words and the order of a comparison."""
    named = sorted((hop.entity, hop.key, hop.award or 0) for hop in plan.hops)
    return repr((named, plan.ask))


def _unanswerable(number: int, fraction: float) -> bool:
    """Spreads a fraction evenly over the numbers from 0.

    >>> [_unanswerable(number, 0.5) for number in range(4)]
    [False, True, False, True]
    """
    return int((number + 1) * fraction + 1e-9) > int(number * fraction + 1e-9)
