"""Drafts of questions that compare two named entities, directly or through a hop from each.

The answer that is wanted (yes or no, the first or the second) and the side of the comparison (lower or
higher) are given, in turn, by the caller, and the relation is drawn independently of them, so no guess from
the question alone does better than chance.
"""

from __future__ import annotations

from collections.abc import Iterable

from clara_bench.worlds.drafts import Ask, Desk, Draft, Hop, sound
from clara_bench.worlds.ontology import RELATIONS
from clara_bench.worlds.phrases import BRIDGED_FIRST, BRIDGED_SAME, FIRST, SAME

FLIP_TRIES = 60


def comparison(desk: Desk, turn: int) -> Draft | None:
    """Two entities of a type: odd turns ask whether a value is the same, even ones whose is lower or higher."""
    if turn % 2:
        key = desk.draw.pick([key for key in SAME if key in desk.world.columns])
        pair = _equal(desk, key) if turn // 2 % 2 else _any_two(desk, key)
        return _same(desk, "comparison", [(hop,) for hop in pair], yes=turn // 2 % 2 == 1) if pair else None
    key = desk.draw.pick(list(FIRST))
    pair = _any_two(desk, key)
    return _order(desk, "comparison", [(hop,) for hop in pair], turn // 2) if pair else None


def bridge_comparison(desk: Desk, turn: int) -> Draft | None:
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
    kind = RELATIONS[key].subject
    return _two(desk.follow(desk.entity(kind), (key,)) for _ in range(2))


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


def _same(desk: Desk, kind: str, branches: list[tuple[Hop, ...]], yes: bool) -> Draft | None:
    one, other = branches[0][-1], branches[1][-1]
    if (one.value == other.value) != yes:
        return None
    if len(branches[0]) == 1:
        return _draft(desk, kind, branches, "same", "yes" if yes else "no", ())
    # whichever leading passage is missing, someone among the candidates would make the answer the opposite
    near = [_flip(desk, hop, against.value, equal=not yes) for hop, against in ((one, other), (other, one))]
    found = tuple(entity for entity in near if entity is not None)
    return _draft(desk, kind, branches, "same", "yes" if yes else "no", found) if len(found) == 2 else None


def _flip(desk: Desk, hop: Hop, value: int, equal: bool) -> int | None:
    """An entity like the subject of a hop whose value does (or does not) equal a value."""
    world = desk.world
    if equal:
        found = [entity for entity in world.holders(hop.key, value) if world.value(entity, hop.key) == value]
        return desk.draw.pick(found) if len(found) > 1 else None
    for _ in range(FLIP_TRIES):
        entity = desk.entity(RELATIONS[hop.key].subject)
        if world.value(entity, hop.key) not in (None, value):
            return entity
    return None


def _order(desk: Desk, kind: str, branches: list[tuple[Hop, ...]], turn: int) -> Draft | None:
    """The first is the answer in even turns, the lower in every other pair of turns."""
    ask: Ask = "low" if turn // 2 % 2 == 0 else "high"
    low_first = branches[0][-1].value < branches[1][-1].value
    if branches[0][-1].value == branches[1][-1].value:
        return None
    if (low_first == (ask == "low")) != (turn % 2 == 0):
        branches = branches[::-1]
    winner, loser = (branches[turn % 2], branches[1 - turn % 2])
    near: tuple[int, ...] = ()
    if len(winner) > 1:
        found = (
            _beyond(desk, winner[-1], loser[-1].value, lower=ask == "high"),
            _beyond(desk, loser[-1], winner[-1].value, lower=ask == "low"),
        )
        near = tuple(entity for entity in found if entity is not None)
        if len(near) < 2:
            return None
    return _draft(desk, kind, branches, ask, desk.world.names[winner[0].entity], near)


def _beyond(desk: Desk, hop: Hop, value: int, lower: bool) -> int | None:
    """An entity like the subject of a hop whose value is on the given side of a value."""
    for _ in range(FLIP_TRIES):
        entity = desk.entity(RELATIONS[hop.key].subject)
        theirs = desk.world.value(entity, hop.key)
        if theirs is not None and theirs != value and (theirs < value) == lower:
            return entity
    return None


def _draft(
    desk: Desk, kind: str, branches: list[tuple[Hop, ...]], ask: Ask, answer: str, near: tuple[int, ...]
) -> Draft | None:
    one, other = branches
    shifted = tuple(hop._replace(source=hop.source + len(one)) if hop.source is not None else hop for hop in other)
    ends = (len(one) - 1, len(one) + len(other) - 1)
    return sound(desk.world, Draft(kind, (*one, *shifted), answer, ask, ends, near=near))
