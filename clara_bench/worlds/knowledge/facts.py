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
    THEMES,
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
    """The complete world of a config: every entity, every fact."""
    world = Encyclopaedia(config)
    born = _people(world)
    _families(world, born)
    for kind in world.members:
        relations = [relation for relation in relations_of(kind, world.hard) if relation.key not in world.columns]
        stated = _stated(world, kind, relations)
        for place, relation in enumerate(relations):
            world.columns[relation.key] = _column(world, relation, [bool(facts >> place & 1) for facts in stated])
    if world.group > 1:
        _themes(world)
        _thin_people(world)
    _capitals(world)
    _casts(world, born)
    if world.hard:
        _awards(world)
    _mentions(world)
    return world


def _themes(world: Encyclopaedia) -> None:
    """One value that all members of a passage share, where its type has such relations and the passage states one."""
    draw = world.draw("themes")
    for kind, keys in THEMES.items():
        for host in world.members[kind][:: world.group]:
            stated = [key for key in keys if len(world.told(host, key)) == world.group]
            if not stated:
                continue
            key = draw.pick(stated)
            first = host - world.members[kind].start
            column = world.columns[key]
            column[first : first + world.group] = [column[first]] * world.group


def _thin_people(world: Encyclopaedia) -> None:
    """What a passage about people states: their professions, and as many other relations as there is room for."""
    draw = world.draw("thin people")
    people, columns = world.members["person"], world.columns
    keys = [relation.key for relation in relations_of("person", world.hard) if relation.key in columns]
    for host in people[:: world.group]:
        told = [key for key in keys[1:] if world.told(host, key)]
        for key in draw.shuffled(told)[world.config.facts - 1 :]:
            for entity in world.inside(host):
                columns[key][entity - people.start] = None


def _stated(world: Encyclopaedia, kind: str, relations: Sequence[Relation]) -> list[int]:
    """For each entity of a type the set of relations that its passage states, as bits."""
    draw = world.draw(f"stated of {kind}")
    certain = FEWEST_FACTS if kind == "person" else 0  # occupation, birth and birthplace are always stated
    sets: list[int] = []
    most = world.config.facts if world.group > 1 and kind != "person" else MOST_FACTS
    for local in range(len(world.members[kind])):
        if local % world.group:  # the members of a passage state the same relations
            sets.append(sets[-1])
            continue
        facts = sum(1 << place for place, relation in enumerate(relations) if draw.chance(relation.stated))
        while not min(most, FEWEST_FACTS) - certain <= facts.bit_count() <= most:
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
    if world.group > 1 and is_entity(relation.target):
        return _aligned(draw, world, low, size, stated)
    return [low + draw.below(size) if told else None for told in stated]


def _aligned(draw: Draw, world: Encyclopaedia, low: int, size: int, stated: Sequence[bool]) -> Column:
    """The members of a passage have those of one other passage as values, so that a link tells no member apart."""
    column: Column = []
    for told in stated[:: world.group]:
        host = low + draw.below(size // world.group) * world.group
        column += draw.shuffled(world.inside(host)) if told else [None] * world.group
    return column


def _number(draw: Draw, relation: Relation) -> int:
    """Log-uniform; integers only, which are the same on every machine."""
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
        female = False
        for number, place in enumerate(places):
            turn, within = divmod(number, world.group)
            if not within:  # the people of a passage are all women or all men
                female = turn == 0 or (turn > 1 and draw.chance(0.5))  # at least one of each
            world.female[place] = female
            born.append(first + draw.below(end - first))
    world.columns["person.born"] = list(born)
    return born


def _generations(world: Encyclopaedia) -> list[range]:
    """The places of each generation among the people: the first has no parents in the world, the last no children."""
    count = len(world.members["person"])
    bounds = [*(world.host(int(count * start)) for start, _, _ in GENERATIONS), count]
    return [range(low, end) for low, end in itertools.pairwise(bounds)]


def _families(world: Encyclopaedia, born: Sequence[int]) -> None:
    """Fathers, mothers and spouses; in the easy tier at most one of the three for each person."""
    draw = world.draw("families")
    generations = _generations(world)
    families: dict[str, Column] = {key: [None] * len(born) for key in ("person.father", "person.mother")}
    for elders, children in itertools.pairwise(generations):
        for key, female in (("person.father", False), ("person.mother", True)):
            fit = [place for place in elders[:: world.group] if world.female[place] == female]
            for child in children[:: world.group]:
                parents = world.inside(_parent(draw, fit, born, child))
                families[key][child : child + world.group] = _in_order(draw, parents)
    families["person.spouse"] = _spouses(world, draw, families, generations[-1])
    _state(world, families, draw)


def _parent(draw: Draw, fit: Sequence[int], born: Sequence[int], child: int) -> int:
    """One of those who fit, of a likely age if a few tries find one."""
    parent = draw.pick(fit)
    for _ in range(4):
        if born[child] - born[parent] <= MAX_PARENT_AGE:
            break
        parent = draw.pick(fit)
    return parent


def _in_order(draw: Draw, places: range) -> list[int]:
    """Some places in random order; nothing is drawn for one."""
    return draw.shuffled(places) if len(places) > 1 else list(places)


def _spouses(world: Encyclopaedia, draw: Draw, families: dict[str, Column], places: range) -> Column:
    """Couples who are not siblings; one of the two passages states it, never both."""
    spouses: Column = [None] * len(families["person.father"])
    order = draw.shuffled(places[:: world.group])
    for one, other in zip(order[::2], order[1::2], strict=False):
        theirs = [(parents[one], set(parents[other : other + world.group])) for parents in families.values()]
        if all(parent not in others for parent, others in theirs):
            spouses[one : one + world.group] = _in_order(draw, world.inside(other))
    return spouses


def _state(world: Encyclopaedia, families: dict[str, Column], draw: Draw) -> None:
    """Turn places into entities, and leave out what is not stated."""
    first = world.members["person"].start
    kept: list[str] = []
    for place in range(len(world.female)):
        known = [key for key, column in families.items() if column[place] is not None]
        if world.group == 1:
            kept = [key for key in known if draw.chance(RELATIONS[key].stated)] if world.hard else known
        elif place % world.group == 0:  # the members of a passage state the same relations
            kept = [key for key in families if draw.chance(RELATIONS[key].stated)]
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
    hosts = draw.shuffled(world.members["city"][:: world.group])[: count // world.group]
    capitals = [city for host in hosts for city in _in_order(draw, world.inside(host))]
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
        for first in range(0, len(members), world.group):
            hosts = _some(draw, draw.pick(generations)[:: world.group], len(roles))
            casts = zip(*(_in_order(draw, world.inside(host)) for host in hosts), strict=True)
            for place, cast in enumerate(casts, first):
                for column, person in zip(roles, cast, strict=True):
                    column[place] = people + person if column[place] is not None else None
                if years[place] is not None:
                    years[place] = max(born[person] for person in cast) + 20 + draw.below(24)


def _some(draw: Draw, places: range, count: int) -> list[int]:
    """Different members of a range."""
    found: list[int] = []
    while len(found) < count:
        place = places[draw.below(len(places))]
        if place not in found:
            found.append(place)
    return found


def _awards(world: Encyclopaedia) -> None:
    """Two awards with known sponsors for many people, each received in another city.

    The members of a passage have the same two, from sponsors of one passage, so that neither tells which is meant.
    """
    draw = world.draw("awards")
    sponsored = [award for award in world.columns["company.award"] if award is not None]
    cities, people = world.members["city"], world.members["person"]
    for host in people[:: world.group]:
        if not draw.chance(AWARDED_FRACTION):
            continue
        turn = draw.below(len(sponsored) // world.group) * world.group if world.group > 1 else 0
        awards = _some(draw, range(turn, turn + world.group) if world.group > 1 else range(len(sponsored)), 2)
        places = (_in_order(draw, world.inside(city)) for city in _some(draw, cities[:: world.group], 2))
        for person, own in zip(world.inside(host), zip(*places, strict=True), strict=True):
            first, second = (Receipt(sponsored[a], city) for a, city in zip(awards, own, strict=True))
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
                world.mentions.setdefault(world.host(person), entity)
