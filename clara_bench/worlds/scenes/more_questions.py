"""Additional questions about the passages of a scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED, relations_of
from clara_bench.worlds.questions.plans import Hop, Plan, sound, surface, target_is_entity
from clara_bench.worlds.questions.verbalize import Asker
from clara_bench.worlds.questions.wordings import FIRST, SAME
from clara_bench.worlds.scenes.scene import Asked, Told
from clara_bench.worlds.scenes.two_facts import Known, both, described

UNKNOWN = "unknown"
"""Answer to a question that the passages do not answer."""
TRIES = 12


class Clerk:
    """Shared state for the questions of one world."""

    def __init__(self, world: Encyclopaedia, draw: Draw) -> None:
        self.world = world
        self.draw = draw
        self.asker = Asker(world, draw)
        self._hops: dict[int, tuple[Hop, ...]] = {}
        self._relations = {kind: [one.key for one in relations_of(kind, world.hard)] for kind in world.members}

    def hops(self, entity: int) -> tuple[Hop, ...]:
        """Every fact that is stated of an entity, mentions apart."""
        if entity not in self._hops:
            world = self.world
            values = [(key, world.value(entity, key)) for key in self._relations[world.kind(entity)]]
            plain = [Hop(entity, key, value) for key, value in values if value is not None]
            receipts = world.receipts.get(entity, ())
            awarded = [Hop(entity, AWARDED, receipt.city, None, receipt.award) for receipt in receipts]
            self._hops[entity] = (*plain, *awarded)
        return self._hops[entity]

    def told_in(self, host: int) -> list[Hop]:
        """Every fact that the passage of a host states, of all its members."""
        return [hop for entity in self.world.inside(host) for hop in self.hops(entity)]

    def member(self, host: int) -> int:
        """One of those whom a passage is about."""
        return host if self.world.group == 1 else self.draw.pick(self.world.inside(host))

    def known(self, hop: Hop) -> Known:
        """A fact as questions spell it."""
        return Known(hop.key, surface(self.world, hop), self.award(hop))

    def award(self, hop: Hop) -> str:
        """The award that a fact is about, "" if none."""
        return "" if hop.award is None else self.world.awards[hop.award]

    def told(self, hop: Hop) -> Told:
        """A fact as a step of reasoning."""
        return Told(self.world.names[hop.entity], surface(self.world, hop))

    def rival(self, hop: Hop, alike: bool, without: Mapping[int, object]) -> int | None:
        """The host of a passage about another entity of the type, with another value; alike: names share a piece."""
        world = self.world
        pool = world.alike(hop.entity) if alike else world.members[world.kind(hop.entity)]
        for _ in range(TRIES if pool else 0):
            other = self.draw.pick(pool)
            host = world.host(other)
            if host == world.host(hop.entity) or host in without:
                continue
            if other in world.receipts if hop.key == AWARDED else world.value(other, hop.key) not in (None, hop.value):
                return host
        return None

    def equal(self, host: int, without: Mapping[int, object]) -> int | None:
        """The host of another passage that states the same value of a relation that `SAME` asks about."""
        hops = [hop for hop in self.told_in(host) if hop.key in SAME]
        if not hops:
            return None
        hop = self.draw.pick(hops)
        hosts = [self.world.host(other) for other in self.world.holders(hop.key, hop.value)]
        others = [other for other in hosts if other not in without]
        return self.draw.pick(others) if others else None


class Passages:
    """The passages of one scene, open for questions."""

    def __init__(self, clerk: Clerk, hosts: Sequence[int]) -> None:
        self.clerk = clerk
        self.places = {host: place for place, host in enumerate(hosts)}
        self.hops = [hop for host in hosts for hop in clerk.told_in(host)]
        self.by_key: dict[str, list[Hop]] = defaultdict(list)
        for hop in self.hops:
            self.by_key[hop.key].append(hop)

    def asked(self, plan: Plan, question: str) -> Asked:
        """The record of a plan in words."""
        told = [self.clerk.told(hop) for hop in plan.hops]
        half = len(told) // 2
        branches = (told[:half], told[half:]) if len(plan.ends) > 1 else (told,)
        steps = tuple(zip(*branches, strict=True))
        gold = tuple(self.places[host] for host in replace(plan, group=self.clerk.world.group).gold)
        return Asked(question, plan.answer, plan.kind, plan.ask, steps, gold)

    def single(self, contested: float) -> Asked:
        """One fact; with a probability one of a relation that several passages tell differently, if there are any."""
        clerk, pool = self.clerk, self.hops
        if clerk.draw.chance(contested):
            pool = [hop for hops in self.by_key.values() if _differ(hops) for hop in hops] or pool
        hop = clerk.draw.pick(pool)
        plan = Plan("single", (hop,), surface(clerk.world, hop))
        return self.asked(plan, clerk.asker.single(hop.entity, hop.key, clerk.award(hop)))

    def bridge(self) -> Asked | None:
        """A fact of something that another passage names."""
        clerk = self.clerk
        links = [hop for hop in self.hops if target_is_entity(hop) and clerk.world.host(hop.value) in self.places]
        if not links:
            return None
        first = clerk.draw.pick(links)
        last = clerk.draw.pick(clerk.hops(first.value))
        plan = Plan("bridge", (first, last._replace(source=0)), surface(clerk.world, last))
        return self._worded(sound(clerk.world, plan))

    def comparison(self) -> Asked | None:
        """Which of two is lower or higher, or whether they are equal if the passages have pairs of both sorts."""
        draw = self.clerk.draw
        even = [
            key for key, hops in self.by_key.items() if key in SAME and 1 < len({h.value for h in hops}) < len(hops)
        ]
        if even and draw.chance(0.5):
            key, yes = draw.pick(even), draw.chance(0.5)
            one, other = draw.pick(
                [pair for pair in _pairs(self.by_key[key]) if (pair[0].value == pair[1].value) == yes]
            )
            return self._worded(Plan("comparison", (one, other), "yes" if yes else "no", "same", (0, 1)))
        keys = [key for key, hops in self.by_key.items() if key in FIRST and _differ(hops)]
        if not keys:
            return None
        one, other = draw.pick(
            [pair for pair in _pairs(self.by_key[draw.pick(keys)]) if pair[0].value != pair[1].value]
        )
        low = draw.chance(0.5)
        answer = one if (one.value < other.value) == low else other
        name = self.clerk.world.names[answer.entity]
        return self._worded(Plan("comparison", (one, other), name, "low" if low else "high", (0, 1)))

    def both(self) -> Asked | None:
        """Two facts of one passage."""
        clerk = self.clerk
        host = clerk.draw.pick(list(self.places))
        entity = clerk.member(host)
        one, other = (clerk.draw.shuffled(clerk.hops(entity)))[:2]
        if one.key == other.key:
            return None
        question = both(clerk.world, clerk.draw, entity, (clerk.known(one), clerk.known(other)))
        told = clerk.told(one), clerk.told(other)
        answer = " and ".join(fact.value for fact in told)
        return Asked(question, answer, "both", "value", (told,), (self.places[host],))

    def described(self) -> Asked | None:
        """A fact of what another of its facts tells apart from the rest."""
        clerk = self.clerk
        by = clerk.draw.pick(self.hops)
        asked = clerk.draw.pick(clerk.hops(by.entity))
        same = [hop for hop in self.by_key[by.key] if hop.value == by.value]
        if AWARDED == by.key or asked.key == by.key or len(same) > 1:
            return None
        found, told = clerk.told(by), clerk.told(asked)
        question = described(clerk.draw, clerk.known(by), clerk.known(asked))
        if told.value.lower() in question.lower():
            return None
        steps = (Told(found.value, found.title),), (told,)
        return Asked(question, told.value, "described", "value", steps, (self.places[clerk.world.host(by.entity)],))

    def unknown(self) -> Asked | None:
        """A fact of an entity whose passage is missing, though one much like it is there."""
        clerk = self.clerk
        hop = clerk.draw.pick(self.hops)
        other = clerk.rival(hop, clerk.draw.chance(0.5), self.places)
        if other is None:
            return None
        asked = clerk.draw.pick([one for one in clerk.told_in(other) if one.key == hop.key])
        return Asked(
            clerk.asker.single(asked.entity, asked.key, clerk.award(asked)), UNKNOWN, "unknown", "value", (), ()
        )

    def _worded(self, plan: Plan | None) -> Asked | None:
        if plan is None:
            return None
        question = self.clerk.asker.word(plan)
        told = not plan.options and plan.answer.lower() in question.lower()
        return None if told else self.asked(plan, question)


FURTHER: dict[str, Callable[[Passages], Asked | None]] = {
    "bridge": Passages.bridge,
    "comparison": Passages.comparison,
    "both": Passages.both,
    "described": Passages.described,
    "unknown": Passages.unknown,
}


def _differ(hops: Sequence[Hop]) -> bool:
    return len(hops) > 1 and len({hop.entity for hop in hops}) > 1 and len({hop.value for hop in hops}) > 1


def _pairs(hops: Sequence[Hop]) -> list[tuple[Hop, Hop]]:
    """In either order."""
    return [(one, other) for one in hops for other in hops if one is not other]
