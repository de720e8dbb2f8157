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
    """Hosts of passages that must be candidates, so that nothing follows when a gold passage is missing."""
    group: int = 1
    """Entities that a passage is about."""

    @property
    def gold(self) -> tuple[int, ...]:
        """The hosts of the passages that the answer needs, in the order of the hops."""
        return tuple(dict.fromkeys(hop.entity - hop.entity % self.group for hop in self.hops))

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
        hosts = {self.world.host(hop.entity) for hop in hops}
        return tuple(hops) if len(hosts) == len(hops) else None

    def siblings(self, hops: tuple[Hop, ...]) -> tuple[int, ...]:
        """The passages of a parallel chain with another answer, from an entity of the same type; () if none is found.

        With them among the candidates, "the only chain that can be completed" gives nothing away.
        """
        keys, taken = tuple(hop.key for hop in hops), {self.world.host(hop.entity) for hop in hops}
        return self._decoy(hops, keys, self._starts(hops[0].entity), taken)

    def decoys(self, hops: tuple[Hop, ...], count: int) -> tuple[int, ...]:
        """Hosts of several such chains that have no passage in common, then of one chain of each shorter length."""
        keys, found = tuple(hop.key for hop in hops), [self.world.host(hop.entity) for hop in hops]
        own = len(found)
        for number in range(count):
            starts = self._starts(hops[0].entity) if number % 2 == 0 else self._any(hops[0].entity)
            found += self._decoy(hops, keys, starts, set(found))
        for place in range(1, own - 1):
            found += self._decoy(hops, keys[place:], self._any(hops[place].entity), set(found))
        return tuple(found[own:])

    def _decoy(
        self, hops: tuple[Hop, ...], keys: tuple[str, ...], starts: list[int], taken: set[int]
    ) -> tuple[int, ...]:
        """The hosts of a chain of relations with another answer, through none of the passages taken; () if none."""
        world, last = self.world, hops[-1]
        for start in starts:
            chain = self.follow(start, keys)
            hosts = tuple(world.host(hop.entity) for hop in chain or ())
            if chain and not taken.intersection(hosts) and self._rivals(chain, hosts, last):
                return hosts
        return ()

    def _rivals(self, chain: tuple[Hop, ...], hosts: tuple[int, ...], last: Hop) -> bool:
        """Whether a chain is a decoy: from version 3 on by what its passages state, as those of the question do."""
        world = self.world
        if world.config.version > 2:
            return all(contested(world, hop) for hop in chain)
        same = [host for host in hosts if world.kind(host) == world.kind(last.entity)]
        same = same if world.group > 1 else list(hosts[-1:])
        return not any(last.value in world.told(host, last.key) for host in same)

    def _starts(self, first: int) -> list[int]:
        """Entities of a type, first those whose names share a piece."""
        world = self.world
        alike = self.draw.shuffled(world.alike(first)[: 4 * SIBLING_TRIES])[:SIBLING_TRIES]
        return alike + self._any(first)

    def _any(self, first: int) -> list[int]:
        kind = self.world.kind(first)
        return [self.entity(kind) for _ in range(SIBLING_TRIES if self.world.group == 1 else 4 * SIBLING_TRIES)]


def surface(world: Encyclopaedia, hop: Hop) -> str:
    """The value of a hop as its passage spells it."""
    return world.names[hop.value] if hop.key == AWARDED else world.surface(hop.key, hop.value)


def target_is_entity(hop: Hop) -> bool:
    """Whether the value of a hop has a passage of its own."""
    return hop.key == AWARDED or is_entity(RELATIONS[hop.key].target)


def sound(world: Encyclopaedia, plan: Plan) -> Plan | None:
    """The plan itself if no gold passage tells what another one is needed for, else None."""
    plan = replace(plan, group=world.group, near=tuple(dict.fromkeys(map(world.host, plan.near))))
    gold = plan.gold
    if len(gold) != len(plan.hops) or set(gold) & set(plan.near):
        return None
    if world.group > 1 and not all(contested(world, hop) for hop in plan.hops):
        return None
    if any(answers(world, plan, host) for host in plan.near):
        return None
    told = {entity: stated(world, entity) for entity in gold}
    return None if any(_told_elsewhere(world, plan, place, told) for place in range(len(gold))) else plan


def answers(world: Encyclopaedia, plan: Plan, host: int) -> bool:
    """Whether a passage that is not needed states the answer, of somebody else; version 2 offers none of them.

    Version 3 offers them as often as they come: that the answer is stated once would tell it from other values.
    """
    last = plan.hops[-1]
    if world.config.version != 2 or plan.ask != "value" or last.key == AWARDED:
        return False
    return world.kind(host) == RELATIONS[last.key].subject and last.value in world.told(host, last.key)


def contested(world: Encyclopaedia, hop: Hop) -> bool:
    """Whether every member of the passage states the relation, each another value: so that it has to be chosen."""
    host = world.host(hop.entity)
    if hop.key == AWARDED:
        return True  # each in another city
    return len(set(world.told(host, hop.key))) == world.group


def _told_elsewhere(world: Encyclopaedia, plan: Plan, place: int, told: dict[int, set[str]]) -> bool:
    """Whether the passage of another hop names the subject of this one, if the question does, or tells its value."""
    hop = plan.hops[place]
    name, value = world.names[hop.entity], surface(world, hop)
    for other_place, other in enumerate(plan.hops):
        if other_place == place:
            continue
        around = told[world.host(other.entity)]
        if hop.source is None and plan.link != "backlink" and name in around:
            return True
        follows = place in (other.source, other.award_source)  # the passage about the value, or about its award
        if plan.ask == "value" and not follows and value in around | {world.names[other.entity]}:
            return True
    return False


def stated(world: Encyclopaedia, host: int) -> set[str]:
    """Every value that a passage states, as spelled, what it mentions, and whom it is about besides its host."""
    keys = [relation.key for relation in relations_of(world.kind(host), world.hard)]
    found = {world.surface(key, value) for key in keys for value in world.told(host, key)}
    if host in world.mentions:
        found.add(world.names[world.mentions[host]])
    members = world.inside(host)
    for receipt in (receipt for entity in members for receipt in world.receipts.get(entity, ())):
        found |= {world.awards[receipt.award], world.names[receipt.city]}
    return found | {world.names[entity] for entity in members if entity != host}
