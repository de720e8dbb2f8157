"""A question before it is worded: hops over entities, sampled at random and kept only if valid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED, RELATIONS, is_entity, relations_of

Ask = Literal["value", "low", "high", "same"]
Link = Literal["", "clue", "backlink", "none"]
SIBLING_TRIES = 24


class Hop(NamedTuple):
    """One fact on the way to an answer."""

    entity: int
    """The subject: the entity whose passage states the fact."""
    key: str
    value: int
    source: int | None = None
    """The hop whose value is the subject; None where the question names it."""
    award: int | None = None
    """The award that an `AWARDED` hop is about."""
    award_source: int | None = None
    """The hop whose value is that award; None where the question names it."""


class Clue(NamedTuple):
    """A second attribute, given in the question, of the entity that it does not name."""

    key: str
    value: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A sound question."""

    kind: str
    """The data set's own type of question; musique: the shape, such as 3hop1; nq: single."""
    hops: tuple[Hop, ...]
    answer: str
    ask: Ask = "value"
    """What is asked of the last hop of each branch: its value, whose is lower or higher, or whether they are equal."""
    ends: tuple[int, ...] = (-1,)
    """The last hop of each branch; two for a comparison."""
    link: Link = ""
    clue: Clue | None = None
    near: tuple[int, ...] = ()
    """Entities that must be among the candidates, so that nothing follows when a gold passage is missing."""

    @property
    def gold(self) -> tuple[int, ...]:
        """The entities whose passages the answer needs, in the order of the hops."""
        return tuple(dict.fromkeys(hop.entity for hop in self.hops))

    @property
    def options(self) -> tuple[int, ...]:
        """The named entities of a comparison, in the order of the question."""
        return tuple(hop.entity for hop in self.hops if hop.source is None) if len(self.ends) > 1 else ()


class Desk:
    """What everyone who plans questions needs: the world, a stream of choices, and the paths there are."""

    def __init__(self, world: Encyclopaedia, draw: Draw) -> None:
        self.world = world
        self.draw = draw
        self.relations = {kind: relations_of(kind, world.hard) for kind in world.members}
        self.mentioners = tuple(world.mentions)
        self.awarded = tuple(world.receipts)
        self._paths: dict[int, list[tuple[str, ...]]] = {}

    def path(self, length: int) -> tuple[str, ...]:
        """A sequence of different relations in which each is about the value of the one before."""
        if length not in self._paths:
            self._paths[length] = self._all_paths(length)
        return self.draw.pick(self._paths[length])

    def _all_paths(self, length: int) -> list[tuple[str, ...]]:
        paths: list[tuple[str, ...]] = [
            (relation.key,) for relations in self.relations.values() for relation in relations
        ]
        for _ in range(length - 1):
            paths = [
                (*path, relation.key)
                for path in paths
                for relation in self.relations.get(RELATIONS[path[-1]].target, ())
                if relation.key not in path
            ]
        return paths

    def entity(self, kind: str) -> int:
        """Any entity of a type."""
        return self.draw.pick(self.world.members[kind])

    def follow(self, start: int, keys: tuple[str, ...]) -> tuple[Hop, ...] | None:
        """The hops from an entity along relations, or None if one is not stated, or comes back to where it was."""
        hops: list[Hop] = []
        entity = start
        for place, key in enumerate(keys):
            value = self.world.value(entity, key)
            if value is None:
                return None
            hops.append(Hop(entity, key, value, place - 1 if place else None))
            entity = value
        entities = [hop.entity for hop in hops]
        return tuple(hops) if len(set(entities)) == len(entities) else None

    def siblings(self, hops: tuple[Hop, ...]) -> tuple[int, ...]:
        """The passages of a parallel chain with another answer, from an entity of the same type; () if none is found.

        With them among the candidates, "the only chain that can be completed" gives nothing away.
        """
        world, first = self.world, hops[0]
        keys, own = tuple(hop.key for hop in hops), {hop.entity for hop in hops}
        alike = self.draw.shuffled(world.alike(first.entity)[: 4 * SIBLING_TRIES])[:SIBLING_TRIES]
        others = [self.entity(world.kind(first.entity)) for _ in range(SIBLING_TRIES)]
        for start in alike + others:
            chain = self.follow(start, keys)
            if chain and chain[-1].value != hops[-1].value and not own.intersection(hop.entity for hop in chain):
                return tuple(hop.entity for hop in chain)
        return ()


def surface(world: Encyclopaedia, hop: Hop) -> str:
    """The value of a hop as its passage spells it."""
    return world.names[hop.value] if hop.key == AWARDED else world.surface(hop.key, hop.value)


def target_is_entity(hop: Hop) -> bool:
    """Whether the value of a hop has a passage of its own."""
    return hop.key == AWARDED or is_entity(RELATIONS[hop.key].target)


def sound(world: Encyclopaedia, plan: Plan) -> Plan | None:
    """The plan itself if no gold passage tells what another one is needed for, else None."""
    gold = plan.gold
    if len(gold) != len(plan.hops) or set(gold) & set(plan.near):
        return None
    told = {entity: stated(world, entity) for entity in gold}
    if any(_told_elsewhere(world, plan, place, told) for place in range(len(gold))):
        return None
    return replace(plan, near=tuple(dict.fromkeys(plan.near)))


def _told_elsewhere(world: Encyclopaedia, plan: Plan, place: int, told: dict[int, set[str]]) -> bool:
    """Whether the passage of another hop names the subject of this one, if the question does, or tells its value."""
    hop = plan.hops[place]
    name, value = world.names[hop.entity], surface(world, hop)
    for other_place, other in enumerate(plan.hops):
        if other_place == place:
            continue
        if hop.source is None and plan.link != "backlink" and name in told[other.entity]:
            return True
        follows = place in (other.source, other.award_source)  # the passage about the value, or about its award
        if plan.ask == "value" and not follows and value in told[other.entity] | {world.names[other.entity]}:
            return True
    return False


def stated(world: Encyclopaedia, entity: int) -> set[str]:
    """Every value that a passage states, as spelled, and what it mentions."""
    kind = world.kind(entity)
    keys = (relation.key for relation in relations_of(kind, world.hard))
    found = {world.surface(key, value) for key in keys if (value := world.value(entity, key)) is not None}
    if entity in world.mentions:
        found.add(world.names[world.mentions[entity]])
    for receipt in world.receipts.get(entity, ()):
        found |= {world.awards[receipt.award], world.names[receipt.city]}
    return found
