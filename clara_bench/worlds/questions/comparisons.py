"""Plans of questions that compare two named entities, directly or through a hop from each.

The answer that is wanted (yes or no, the first or the second) and the side of the comparison (lower or
higher) are given, in turn, by the caller, and the relation is drawn independently of them, so no guess from
the question alone does better than chance.
"""

from __future__ import annotations

from collections.abc import Iterable

from clara_bench.worlds.knowledge.ontology import RELATIONS
from clara_bench.worlds.questions.plans import Ask, Desk, Hop, Plan, sound
from clara_bench.worlds.questions.wordings import BRIDGED_FIRST, BRIDGED_SAME, FIRST, SAME

UPSET_TRIES = 60
REACH, MIN_REACH = 0.05, 6
"""Version 2: two values that are compared are at most so far apart in rank, as a share of all and in places."""
COMPARED = frozenset((*FIRST, *(end for _, end in BRIDGED_FIRST)))


def comparison(desk: Desk, turn: int) -> Plan | None:
    """Two entities of a type: odd turns ask whether a value is the same, even ones whose is lower or higher."""
    if turn % 2:
        key = desk.draw.pick([key for key in SAME if key in desk.world.columns])
        pair = _equal(desk, key) if turn // 2 % 2 else _any_two(desk, key)
        return _same(desk, "comparison", [(hop,) for hop in pair], yes=turn // 2 % 2 == 1) if pair else None
    key = desk.draw.pick(list(FIRST))
    pair = _any_two(desk, key)
    return _order(desk, "comparison", [(hop,) for hop in pair], turn // 2) if pair else None


def bridge_comparison(desk: Desk, turn: int) -> Plan | None:
    """As `comparison`, of something that belongs to each entity: which film has the older director?"""
    if turn % 2:
        first, second = desk.draw.pick(list(BRIDGED_SAME))
        pair = _equal(desk, second) if turn // 2 % 2 else _any_two(desk, second)
        branches = _led_to(desk, first, pair) if pair else None
        return _same(desk, "bridge_comparison", branches, yes=turn // 2 % 2 == 1) if branches else None
    first, second = desk.draw.pick(list(BRIDGED_FIRST))
    pair = _any_two(desk, second)
    branches = _led_to(desk, first, pair) if pair else None
    return _order(desk, "bridge_comparison", branches, turn // 2) if branches else None


def _any_two(desk: Desk, key: str) -> list[Hop] | None:
    if desk.world.group > 1 and key in COMPARED:
        return _close(desk, key)
    kind = RELATIONS[key].subject
    return _two(desk.follow(desk.entity(kind), (key,)) for _ in range(2))


def _close(desk: Desk, key: str) -> list[Hop] | None:
    """Two entities with values near each other in rank, so that one value alone does not tell which is the higher."""
    ranked = desk.world.ranked(key)
    reach = max(MIN_REACH, int(len(ranked) * REACH))
    place = desk.draw.below(len(ranked))
    other = place + (1 + desk.draw.below(reach)) * (1 if desk.draw.chance(0.5) else -1)
    if not 0 <= other < len(ranked):
        return None
    return _two(desk.follow(ranked[one], (key,)) for one in (place, other))


def _equal(desk: Desk, key: str) -> list[Hop] | None:
    """Two entities with the same value."""
    shared = desk.world.shared_values(key)
    if not shared:
        return None
    holders = desk.world.holders(key, desk.draw.pick(shared))
    return _two(desk.follow(desk.draw.pick(holders), (key,)) for _ in range(2))


def _two(chains: Iterable[tuple[Hop, ...] | None]) -> list[Hop] | None:
    hops = [chain[0] for chain in chains if chain]
    return hops if len(hops) == 2 and hops[0].entity != hops[1].entity else None


def _led_to(desk: Desk, key: str, pair: list[Hop]) -> list[tuple[Hop, ...]] | None:
    """Before each hop one that leads to it from an entity to be named."""
    holders = [desk.world.holders(key, hop.entity) for hop in pair]
    if not all(holders):
        return None
    leads = [Hop(desk.draw.pick(found), key, hop.entity) for found, hop in zip(holders, pair, strict=True)]
    return [(lead, hop._replace(source=0)) for lead, hop in zip(leads, pair, strict=True)]


def _same(desk: Desk, kind: str, branches: list[tuple[Hop, ...]], yes: bool) -> Plan | None:
    if (branches[0][-1].value == branches[1][-1].value) != yes:
        return None
    return _plan(desk, kind, branches, "same", "yes" if yes else "no")


def _order(desk: Desk, kind: str, branches: list[tuple[Hop, ...]], turn: int) -> Plan | None:
    """The first named is the answer in even turns, the lower in every other pair of turns."""
    ask: Ask = "low" if turn // 2 % 2 == 0 else "high"
    first, second = (branch[-1].value for branch in branches)
    if first == second:
        return None
    if ((first < second) == (ask == "low")) != (turn % 2 == 0):
        branches = branches[::-1]
    return _plan(desk, kind, branches, ask, desk.world.names[branches[turn % 2][0].entity])


def _plan(desk: Desk, kind: str, branches: list[tuple[Hop, ...]], ask: Ask, answer: str) -> Plan | None:
    one, other = branches
    near = [_upset(desk, ask, *ends) for ends in ((one[-1], other[-1]), (other[-1], one[-1]))] if len(one) > 1 else []
    found = tuple(entity for entity in near if entity is not None)
    if len(found) < len(near):
        return None
    shifted = tuple(hop._replace(source=hop.source + len(one)) if hop.source is not None else hop for hop in other)
    ends = (len(one) - 1, len(one) + len(other) - 1)
    return sound(desk.world, Plan(kind, (*one, *shifted), answer, ask, ends, near=found))


def _upset(desk: Desk, ask: Ask, hop: Hop, against: Hop) -> int | None:
    """An entity that, were it the subject of a hop, would turn the answer into the opposite.

    With it among the candidates, nothing follows when the passage that leads to the subject is missing.
    """
    world, rival = desk.world, against.value
    alike = ask == "same" and hop.value != rival
    pool = world.holders(hop.key, rival) if alike else world.members[RELATIONS[hop.key].subject]
    for _ in range(UPSET_TRIES):
        entity = desk.draw.pick(pool)
        value = world.value(entity, hop.key)
        if value is None or entity in (hop.entity, against.entity):
            continue
        if (value == rival) == alike if ask == "same" else value != rival and (value < rival) != (hop.value < rival):
            return entity
    return None
