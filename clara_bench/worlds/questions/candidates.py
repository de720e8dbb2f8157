"""Candidates of a question: gold passages, hard distractors and random ones."""

from __future__ import annotations

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED
from clara_bench.worlds.questions.plans import Plan, answers

TRIES = 12


def candidates(world: Encyclopaedia, plan: Plan, count: int, draw: Draw, without: int | None = None) -> list[int]:
    """Hosts of different passages, `count` of them, in random order: gold, those that must be near, hard ones, any.

    Of the hard ones half are alike by name, half state the same relation. `without` is the host of a gold passage to
    leave out, for a question that is to have no answer.
    """
    chosen = dict.fromkeys((*plan.gold, *plan.near)[:count])
    room = count - len(chosen)
    for turn in range(int(room * world.config.closeness)):
        hop = plan.hops[turn // 2 % len(plan.hops)]
        found = _alike(world, hop.entity, draw) if turn % 2 else _of_relation(world, hop.entity, hop.key, draw)
        for host in map(world.host, found):
            if host not in chosen and not answers(world, plan, host):
                chosen[host] = None
                break
    if without is not None:
        count += 1
    while len(chosen) < count:
        host = world.host(draw.below(len(world.names)))
        if not answers(world, plan, host):
            chosen[host] = None
    return [host for host in draw.shuffled(list(chosen)) if host != without]


def _alike(world: Encyclopaedia, entity: int, draw: Draw) -> list[int]:
    """Some entities of the same type with a piece of the same name."""
    alike = world.alike(entity)
    return [draw.pick(alike) for _ in range(TRIES)] if alike else []


def _of_relation(world: Encyclopaedia, entity: int, key: str, draw: Draw) -> list[int]:
    """Some entities of the same type whose passages state the same relation."""
    members = world.members[world.kind(entity)]
    found = [draw.pick(members) for _ in range(TRIES)]
    if key == AWARDED:
        return [person for person in found if person in world.receipts]
    return [other for other in found if world.value(other, key) is not None]
