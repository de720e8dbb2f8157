"""Plans of questions with one line of reasoning: single hops, bridges, kinship, and joins of two lines."""

from __future__ import annotations

from clara_bench.worlds.knowledge.encyclopaedia import Receipt
from clara_bench.worlds.knowledge.ontology import AWARDED, MENTION, RELATIONS
from clara_bench.worlds.questions.plans import Clue, Desk, Hop, Link, Plan, contested, sound, surface
from clara_bench.worlds.questions.wordings import CLUES, KINSHIP

AWARDED_SHARE = 0.05
"""Share of single-hop questions, hard tier, about the city where an award was received."""

JOIN_TRIES = 40
BACKLINK_TRIES = 400
BACKLINKED = 3
"""Passages of a decoy that links back: two of the chain, and a stranger's."""
MAX_HOLDERS = 200
"""As many who share a clue are looked at."""


def single(desk: Desk) -> Plan | None:
    """One fact of one named entity."""
    if desk.awarded and desk.draw.chance(AWARDED_SHARE):
        person = desk.draw.pick(desk.awarded)
        receipt = desk.draw.pick(desk.world.receipts[person])
        hops: tuple[Hop, ...] | None = (Hop(person, AWARDED, receipt.city, None, receipt.award),)
    else:
        kind = desk.draw.pick(list(desk.relations))
        hops = desk.follow(desk.entity(kind), (desk.draw.pick(desk.relations[kind]).key,))
    return _value(desk, "single", hops)


def _value(
    desk: Desk,
    kind: str,
    hops: tuple[Hop, ...] | None,
    near: tuple[int, ...] = (),
    link: Link = "",
    clue: Clue | None = None,
) -> Plan | None:
    if not hops:
        return None
    answer = surface(desk.world, hops[-1])
    return sound(desk.world, Plan(kind, hops, answer, link=link, clue=clue, near=near))


def chain(desk: Desk, kind: str, length: int, link: Link = "") -> Plan | None:
    """A line of hops from a named entity: each is about the value of the one before."""
    path = desk.path(length)
    hops = desk.follow(desk.entity(RELATIONS[path[0]].subject), path)
    near = _rivals(desk, hops) if hops else ()
    return _value(desk, kind, hops, near, link) if near else None


def _rivals(desk: Desk, hops: tuple[Hop, ...]) -> tuple[int, ...]:
    """Passages of parallel chains; () if there is none."""
    config = desk.world.config
    return desk.siblings(hops) if config.version == 1 else desk.decoys(hops, config.decoys)


def clued(desk: Desk) -> Plan | None:
    """A bridge question that tells a second attribute of the hidden entity: what one-shot retrieval can find it by.

    Another entity has that attribute too, and another answer, so the clue alone answers nothing.
    """
    path = desk.path(2)
    hops = desk.follow(desk.entity(RELATIONS[path[0]].subject), path)
    if not hops:
        return None
    found = [(_sharers(desk, hops, clue), clue) for clue in _clues(desk, hops)]
    usable = [(len(sharers), clue, sharers) for sharers, clue in found if sharers]
    if not usable:
        return None
    _, clue, sharers = min(usable)  # the attribute that fewest share
    near = (desk.draw.pick(sharers), *(_rivals(desk, hops) if desk.world.group > 1 else ()))
    return _value(desk, "bridge", hops, near, "clue", clue)


def _clues(desk: Desk, hops: tuple[Hop, ...]) -> list[Clue]:
    """The attributes of the hidden entity that a question may tell."""
    world, hidden = desk.world, hops[-1].entity
    keys = [relation.key for relation in desk.relations[world.kind(hidden)] if relation.key in CLUES]
    told = [Clue(key, value) for key in keys if (value := world.value(hidden, key)) is not None]
    told = [clue for clue in told if world.told(world.host(hidden), clue.key) == [clue.value] * world.group]
    named = world.names[hops[0].entity]
    return [clue for clue in told if clue.key != hops[-1].key and world.surface(*clue) != named]


def _sharers(desk: Desk, hops: tuple[Hop, ...], clue: Clue) -> list[int]:
    """Who else has an attribute, but another answer."""
    world, asked = desk.world, hops[-1]
    others = world.holders(*clue)[:MAX_HOLDERS]
    own = (world.host(hops[0].entity), world.host(asked.entity))
    return [
        one for one in others if world.host(one) not in own and world.value(one, asked.key) not in (None, asked.value)
    ]


def backlinked(desk: Desk) -> Plan | None:
    """A bridge question whose hidden passage mentions the named entity, as passages of strangers do too."""
    world = desk.world
    host = desk.draw.pick(desk.mentioners)
    start, members = world.mentions[host], world.inside(host)
    keys = [relation.key for relation in desk.relations[world.kind(start)] if relation.target == "person"]
    keys = [key for key in keys if world.value(start, key) in members]
    if not keys:
        return None
    asked = desk.draw.pick(desk.relations["person"]).key
    hops = desk.follow(start, (desk.draw.pick(keys), asked))
    strangers = [other for other in world.holders(MENTION, start) if other != host]
    near = [other for other in strangers if hops and world.value(other, asked) not in (None, hops[-1].value)]
    if not hops or not near:
        return None
    rivals = _backlinked_rivals(desk, hops)
    return None if rivals is None else _value(desk, "bridge", hops, (desk.draw.pick(near), *rivals), "backlink")


def _backlinked_rivals(desk: Desk, hops: tuple[Hop, ...]) -> tuple[int, ...] | None:
    """Passages of parallel chains: from version 3 on they link back as the question's do, or there is no question."""
    config = desk.world.config
    if config.version < 3:
        return _rivals(desk, hops) if config.version == 2 else ()
    found = _other_backlinks(desk, hops)
    return found if len(found) == BACKLINKED * config.decoys else None


def _other_backlinks(desk: Desk, hops: tuple[Hop, ...]) -> tuple[int, ...]:
    """The passages of chains by the same relations whose last passage mentions the first, and of strangers to them."""
    world = desk.world
    found = [world.host(hop.entity) for hop in hops]
    own = len(found)
    for _ in range(world.config.decoys):
        tries = (_backlink_like(desk, hops) for _ in range(BACKLINK_TRIES))
        found += next((hosts for hosts in tries if hosts and not set(hosts) & set(found)), ())
    return tuple(found[own:])


def _backlink_like(desk: Desk, hops: tuple[Hop, ...]) -> tuple[int, ...]:
    """The hosts of such a chain and of a stranger; () if what was drawn is none."""
    world, host = desk.world, desk.draw.pick(desk.mentioners)
    start = world.mentions[host]
    if world.kind(start) != world.kind(hops[0].entity):
        return ()
    chain = desk.follow(start, tuple(hop.key for hop in hops))
    if not chain or world.host(chain[-1].entity) != host or not all(contested(world, hop) for hop in chain):
        return ()
    strangers = [other for other in world.holders(MENTION, start) if other != host]
    asking = [world.host(other) for other in strangers if world.value(other, hops[-1].key) is not None]
    hosts = dict.fromkeys((world.host(start), host, *asking[:1]))
    return tuple(hosts) if len(hosts) == BACKLINKED else ()


def kinship(desk: Desk) -> Plan | None:
    """Two relations between people that amount to one with a name: grandmother, father-in-law."""
    hops = desk.follow(desk.entity("person"), desk.draw.pick(list(KINSHIP)))
    near = _rivals(desk, hops) if hops else ()
    return _value(desk, "inference", hops, near) if near else None


def joined(desk: Desk, shape: str) -> Plan | None:
    """Two lines that meet: where did this person (first line) receive that award (second line)?

    Shapes as in MuSiQue: 3hop2 is person + award -> city; 4hop2 goes on from the city; 4hop3 has one hop
    more before the award. The person has two awards, and the award several people, so both lines are needed.
    """
    person = desk.draw.pick(desk.awarded)
    receipt, other = desk.draw.shuffled(desk.world.receipts[person])
    left = _who(desk, person)
    right = _sponsor(desk, receipt.award)
    rival = _rival(desk, person, receipt)
    if left is None or right is None or rival is None:
        return None
    sponsors = (_sponsor(desk, other.award),) if desk.world.group == 1 else ()  # else told by a passage that is needed
    near = (rival.entity, *(hop.entity for hop in sponsors if hop))
    lines = [left, right] if shape != "4hop3" else _with_client(desk, left, right)
    if not lines:
        return None
    source = len(lines) - 1
    hops = [*lines, Hop(person, AWARDED, receipt.city, lines.index(left), receipt.award, source)]
    if shape == "4hop2":
        return _beyond(desk, hops, near, (other.city, rival.value))
    return _value(desk, shape, tuple(hops), (*near, *_other_joins(desk, hops, (*near, person))))


def _other_joins(desk: Desk, hops: list[Hop], taken: tuple[int, ...]) -> tuple[int, ...]:
    """Version 2: the passages of joins by the same relations, of other people and awards."""
    world = desk.world
    found = [world.host(entity) for entity in (*taken, *(hop.entity for hop in hops))]
    own = len(found)
    for _ in range(world.config.decoys if world.config.version > 1 else 0):
        tries = (_join_like(desk, hops) for _ in range(JOIN_TRIES))
        found += next((hosts for hosts in tries if hosts and not set(hosts) & set(found)), ())
    return tuple(found[own:])


def _join_like(desk: Desk, hops: list[Hop]) -> tuple[int, ...]:
    """The hosts of a join from any start; () if a relation is not stated on the way."""
    world, left = desk.world, hops[0]
    start = desk.entity(world.kind(left.entity))
    person = world.value(start, left.key)
    if person is None or person not in world.receipts:
        return ()
    receipt = desk.draw.pick(world.receipts[person])
    sponsor = _sponsor(desk, receipt.award)
    entities: list[int | None] = [start, person, sponsor.entity if sponsor else None]
    client = hops[1] if hops[1].key != "company.award" else None
    if client and sponsor:
        holders = world.holders(client.key, sponsor.entity)
        entities.append(desk.draw.pick(holders) if holders else None)
    if hops[-1].key != AWARDED:  # goes on from the city
        entities.append(receipt.city if world.value(receipt.city, hops[-1].key) is not None else None)
    hosts = dict.fromkeys(world.host(entity) for entity in entities if entity is not None)
    return tuple(hosts) if None not in entities and len(hosts) == len(entities) else ()


def _who(desk: Desk, person: int) -> Hop | None:
    """A fact that tells who a person is without naming them: the director of ... ."""
    key = desk.draw.pick([key for key, relation in RELATIONS.items() if relation.target == "person"])
    holders = desk.world.holders(key, person)
    return Hop(desk.draw.pick(holders), key, person) if holders else None


def _sponsor(desk: Desk, award: int) -> Hop | None:
    holders = desk.world.holders("company.award", award)
    return Hop(holders[0], "company.award", award) if holders else None


def _rival(desk: Desk, person: int, receipt: Receipt) -> Hop | None:
    """Somebody else who received the same award in another city."""
    world = desk.world
    found = [
        Hop(other, AWARDED, theirs.city, None, theirs.award)
        for other in world.holders(AWARDED, receipt.award)
        for theirs in world.receipts[other]
        if world.host(other) != world.host(person) and theirs.award == receipt.award and theirs.city != receipt.city
    ]
    return desk.draw.pick(found) if found else None


def _with_client(desk: Desk, left: Hop, right: Hop) -> list[Hop]:
    """One hop more before the sponsor: the award of the company that published a named book."""
    clients = [key for key, relation in RELATIONS.items() if relation.target == "company"]
    key = desk.draw.pick(clients)
    holders = desk.world.holders(key, right.entity)
    if not holders:
        return []
    return [left, Hop(desk.draw.pick(holders), key, right.entity), right._replace(source=1)]


def _beyond(desk: Desk, hops: list[Hop], near: tuple[int, ...], cities: tuple[int, ...]) -> Plan | None:
    """A fact of the city where the award was received; the cities it might have been are to be near."""
    key = desk.draw.pick(desk.relations["city"]).key
    last = desk.follow(hops[-1].value, (key,))
    others = [desk.follow(city, (key,)) for city in cities]
    if not last or any(not other or other[0].value == last[0].value for other in others):
        return None
    more = _other_joins(desk, hops, (*near, *cities))
    return _value(desk, "4hop2", (*hops, last[0]._replace(source=len(hops) - 1)), (*near, *cities, *more))
