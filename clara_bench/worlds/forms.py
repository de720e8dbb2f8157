"""Facts and questions in symbolic form, for training, diagnostics and proofs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from clara_bench.worlds.knowledge.ontology import AWARDED, MENTION, relations_of
from clara_bench.worlds.questions.plans import Ask, Link, surface
from clara_bench.worlds.rows import Item, Press


class Fact(NamedTuple):
    """One thing that a passage states about the entity of its title."""

    subject: str
    """Whom or what it is about: in worlds of version 1 the title of the passage."""
    relation: str
    """Such as "film.director"; "person.mention" says only that another entity is named."""
    value: str
    """As the passage spells it."""
    sentence: int
    """Index of the sentence that states it."""
    qualifier: str = ""
    """The award, for "person.awarded", whose value is the city where it was received; else empty."""


class Step(NamedTuple):
    """One fact that a question needs."""

    subject: str
    """A title where the question names it, else "#2" for the answer to the second step."""
    relation: str
    answer: str
    passage: str
    """Id of the gold passage that states it."""
    qualifier: str = ""
    """An award by name, or "#2"; empty for most relations."""


@dataclass(frozen=True, slots=True)
class Form:
    """The logical form of a question."""

    steps: tuple[Step, ...]
    ask: Ask
    """value: the answer to the last step. low, high: whose last step is lower or higher. same: yes or no."""
    ends: tuple[int, ...]
    """Index of the last step of each branch; two for a comparison."""
    options: tuple[str, ...]
    """The named entities of a comparison, in the order of the question; else ()."""
    answer: str
    kind: str
    """The data set's question type: single, bridge, comparison, 3hop1, inference, ..."""
    link: Link
    """HotpotQA's bridge questions: how the hidden passage can be found at once; else empty."""
    clue: tuple[str, str] | None
    """For link "clue" the relation and value, told by the question, of the entity that the last step is about."""
    gold: tuple[str, ...]
    """Ids of the gold passages; all but one of them are candidates when the question is unanswerable."""
    candidates: tuple[str, ...]
    """Ids of the passages offered, in their order."""


def form(press: Press, item: Item) -> Form:
    """The logical form of a question."""
    world, plan = press.world, item.plan
    steps = []
    for hop in plan.hops:
        award = world.awards[hop.award] if hop.award is not None else ""
        subject = world.names[hop.entity] if hop.source is None else f"#{hop.source + 1}"
        qualifier = award if hop.award_source is None else f"#{hop.award_source + 1}"
        steps.append(Step(subject, hop.key, surface(world, hop), press.ids[hop.entity], qualifier))
    return Form(
        steps=tuple(steps),
        ask=plan.ask,
        ends=tuple(end % len(steps) for end in plan.ends),
        options=tuple(world.names[entity] for entity in plan.options),
        answer=plan.answer,
        kind=plan.kind,
        link=plan.link,
        clue=(plan.clue.key, world.surface(*plan.clue)) if plan.clue else None,
        gold=tuple(press.ids[entity] for entity in plan.gold),
        candidates=tuple(press.ids[entity] for entity in item.candidates),
    )


def facts(press: Press, host: int) -> tuple[Fact, ...]:
    """Everything that a passage states."""
    return tuple(fact for entity in press.world.inside(host) for fact in _facts(press, host, entity))


def _facts(press: Press, host: int, entity: int) -> list[Fact]:
    """What it states about one entity."""
    world, places = press.world, press.prose(host).places
    name = world.names[entity]
    found = []
    for relation in relations_of(world.kind(entity), world.hard):
        value = world.value(entity, relation.key)
        if value is not None:
            place = places[entity, relation.key]
            found.append(Fact(name, relation.key, world.surface(relation.key, value), place))
    if entity in world.mentions:
        found.append(Fact(name, MENTION, world.names[world.mentions[entity]], places[entity, MENTION]))
    for receipt in world.receipts.get(entity, ()):
        place = places[entity, AWARDED]
        found.append(Fact(name, AWARDED, world.names[receipt.city], place, world.awards[receipt.award]))
    return found
