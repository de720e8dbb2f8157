"""Which facts are true in a world, and which of them its passages state.

Lives are in order: parents are born before their children, nobody directs a film before the age of twenty,
and only people without children have a stated spouse, so that nothing about a grandparent follows from a marriage.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Column, Encyclopaedia, Receipt
from clara_bench.worlds.knowledge.ontology import (
    FEWEST_FACTS,
    LITERALS,
    MENTIONED_TYPES,
    MOST_FACTS,
    RELATIONS,
    Relation,
    is_entity,
    relations_of,
)

GENERATIONS = ((0.0, 1885, 1905), (0.25, 1923, 1943), (0.6, 1961, 1981))
"""Where each generation starts among the people, as a fraction, and the years in which it is born."""
AWARDED_FRACTION = 0.45
"""Share of people, hard tier, with two awards."""
MENTION_FRACTION = 0.25
"""Share of films, books, bands and companies that the passages of several people mention."""
MAX_PARENT_AGE = 45

_CAST = {
    "film": ("film.director", "film.star", "film.composer"),
    "band": ("band.singer", "band.drummer"),
    "book": ("book.author", "book.illustrator"),
    "company": ("company.founder", "company.chief"),
    "river": ("river.explorer",),
}
"""The relations whose people must be of age in the year of the entity."""
_YEAR = {"film": "year", "band": "year", "book": "year", "company": "founded", "river": "mapped"}


def encyclopaedia(config: WorldConfig) -> Encyclopaedia:
    """The whole world of a config: every entity, every fact."""
    world = Encyclopaedia(config)
    born = _people(world)
    _families(world, born)
    for kind in world.members:
        relations = [relation for relation in relations_of(kind, world.hard) if relation.key not in world.columns]
        stated = _stated(world, kind, relations)
        for place, relation in enumerate(relations):
            world.columns[relation.key] = _column(world, relation, [bool(facts >> place & 1) for facts in stated])
    _capitals(world)
    _casts(world, born)
    if world.hard:
        _awards(world)
    _mentions(world)
    return world


def _stated(world: Encyclopaedia, kind: str, relations: Sequence[Relation]) -> list[int]:
    """For each entity of a type the set of relations that its passage states, as bits."""
    draw = world.draw(f"stated of {kind}")
    certain = FEWEST_FACTS if kind == "person" else 0  # occupation, birth and birthplace are always stated
    sets: list[int] = []
    for _ in world.members[kind]:
        facts = sum(1 << place for place, relation in enumerate(relations) if draw.chance(relation.stated))
        while not FEWEST_FACTS - certain <= facts.bit_count() <= MOST_FACTS:
            facts = sum(1 << place for place, relation in enumerate(relations) if draw.chance(relation.stated))
        sets.append(facts)
    return sets


def _column(world: Encyclopaedia, relation: Relation, stated: Sequence[bool], whose: str = "") -> Column:
    """Independent values, where they are stated."""
    draw = world.draw(relation.key + whose)
    if relation.key == "company.award":  # every company has an award of its own
        return [local if told else None for local, told in enumerate(stated)]
    if relation.target == "number":
        return [_number(draw, relation) if told else None for told in stated]
    low, size = _range(world, relation)
    return [low + draw.below(size) if told else None for told in stated]


def _number(draw: Draw, relation: Relation) -> int:
    """Every order of magnitude as likely as another; whole numbers only, which are the same on every machine."""
    doublings = (relation.high // relation.low).bit_length() - 1
    base = relation.low << draw.below(doublings)
    return base + draw.below(base)


def _range(world: Encyclopaedia, relation: Relation) -> tuple[int, int]:
    """The lowest value of a relation and the number of its values."""
    if is_entity(relation.target):
        return world.members[relation.target].start, len(world.members[relation.target])
    if relation.target == "text":
        return 0, len(LITERALS[relation.key])
    return relation.low + 1, relation.high - relation.low - 1


def _people(world: Encyclopaedia) -> list[int]:
    """Everybody's gender and year of birth, by place among the people."""
    draw = world.draw("people")
    born: list[int] = []
    for (_, first, end), places in zip(GENERATIONS, _generations(world), strict=True):
        for number, place in enumerate(places):
            world.female[place] = number == 0 or (number > 1 and draw.chance(0.5))  # at least one of each
            born.append(first + draw.below(end - first))
    world.columns["person.born"] = list(born)
    return born


def _generations(world: Encyclopaedia) -> list[range]:
    """The places of each generation among the people: the first has no parents in the world, the last no children."""
    count = len(world.members["person"])
    bounds = [*(int(count * start) for start, _, _ in GENERATIONS), count]
    return [range(low, end) for low, end in itertools.pairwise(bounds)]


def _families(world: Encyclopaedia, born: Sequence[int]) -> None:
    """Fathers, mothers and spouses; in the easy tier at most one of the three for each person."""
    draw = world.draw("families")
    generations = _generations(world)
    families: dict[str, Column] = {key: [None] * len(born) for key in ("person.father", "person.mother")}
    for elders, children in itertools.pairwise(generations):
        for key, female in (("person.father", False), ("person.mother", True)):
            fit = [place for place in elders if world.female[place] == female]
            for child in children:
                families[key][child] = _parent(draw, fit, born, child)
    families["person.spouse"] = _spouses(draw, families, generations[-1])
    _state(world, families, draw)


def _parent(draw: Draw, fit: Sequence[int], born: Sequence[int], child: int) -> int:
    """One of those who fit, of a likely age if a few tries find one."""
    parent = draw.pick(fit)
    for _ in range(4):
        if born[child] - born[parent] <= MAX_PARENT_AGE:
            break
        parent = draw.pick(fit)
    return parent


def _spouses(draw: Draw, families: dict[str, Column], places: range) -> Column:
    """Couples who are not siblings; one of the two passages states it, never both."""
    spouses: Column = [None] * len(families["person.father"])
    order = draw.shuffled(places)
    for one, other in zip(order[::2], order[1::2], strict=False):
        if all(parents[one] != parents[other] for parents in families.values()):
            spouses[one] = other
    return spouses


def _state(world: Encyclopaedia, families: dict[str, Column], draw: Draw) -> None:
    """Turn places into entities, and leave out what is not stated."""
    first = world.members["person"].start
    for place in range(len(world.female)):
        known = [key for key, column in families.items() if column[place] is not None]
        kept = [key for key in known if draw.chance(RELATIONS[key].stated)] if world.hard else known
        if kept and not world.hard:
            kept = [draw.pick(kept)]
        for key in known:
            value = families[key][place]
            families[key][place] = first + value if key in kept and value is not None else None
    world.columns.update(families)


def _capitals(world: Encyclopaedia) -> None:
    """Every country has a capital of its own, whose passage leaves the country out: told once, told in one place."""
    draw = world.draw("capitals")
    first, count = world.members["city"].start, len(world.members["country"])
    capitals = draw.shuffled(world.members["city"])[:count]
    world.columns["country.capital"] = list(capitals)
    instead = [RELATIONS[f"city.{name}"] for name in ("mayor", "founded", "population")]
    for relation in instead:
        values = _column(world, relation, [True] * count, " of capitals")
        for city, value in zip(capitals, values, strict=True):
            world.columns["city.country"][city - first] = None
            world.columns[relation.key][city - first] = value


def _casts(world: Encyclopaedia, born: Sequence[int]) -> None:
    """People of one generation, all different, and a year in which they are of age."""
    draw = world.draw("casts")
    people = world.members["person"].start
    generations = _generations(world)
    for kind, members in world.members.items():
        roles = [world.columns[key] for key in _CAST.get(kind, ()) if key in world.columns]
        if not roles:
            continue
        years = world.columns[f"{kind}.{_YEAR[kind]}"]
        for place in range(len(members)):
            cast = _some(draw, draw.pick(generations), len(roles))
            for column, person in zip(roles, cast, strict=True):
                column[place] = people + person if column[place] is not None else None
            if years[place] is not None:
                years[place] = max(born[person] for person in cast) + 20 + draw.below(24)


def _some(draw: Draw, places: range, count: int) -> list[int]:
    """Different members of a range."""
    found: list[int] = []
    while len(found) < count:
        place = places.start + draw.below(len(places))
        if place not in found:
            found.append(place)
    return found


def _awards(world: Encyclopaedia) -> None:
    """Two awards with known sponsors for many people, each received in another city."""
    draw = world.draw("awards")
    sponsored = [award for award in world.columns["company.award"] if award is not None]
    cities, people = world.members["city"], world.members["person"]
    for person in people:
        if draw.chance(AWARDED_FRACTION):
            awards = _some(draw, range(len(sponsored)), 2)
            places = _some(draw, cities, 2)
            first, second = (Receipt(sponsored[a], city) for a, city in zip(awards, places, strict=True))
            world.receipts[person] = (first, second)
            for key in ("person.hobby", "person.residence"):  # long enough without
                world.columns[key][person - people.start] = None


def _mentions(world: Encyclopaedia) -> None:
    """Passages of people that name a work, band or company and not what they have to do with it.

    Each such entity is named by one of its own people and by others who have no part in it, so that a
    mention alone never tells who directed, wrote or founded it.
    """
    draw = world.draw("mentions")
    people = world.members["person"]
    for kind in MENTIONED_TYPES:
        for entity in world.members[kind]:
            cast = [world.value(entity, key) for key in _CAST[kind] if key in world.columns]
            own = [person for person in cast if person is not None]
            if not own or not draw.chance(MENTION_FRACTION):
                continue
            strangers = [people.start + draw.below(len(people)) for _ in range(2)]
            for person in (draw.pick(own), *(stranger for stranger in strangers if stranger not in own)):
                world.mentions.setdefault(person, entity)
