"""Invented names, made of pieces that many entities of a type share.

A name is a combination of two pieces (of three in big worlds) from fixed, ordered pools; a world uses
the first so many of each pool, so that a small world has few pieces, each in many names, and every
piece of a small world occurs in the bigger ones too. Which split a combination belongs to is decided by
the combination alone: one in five is kept for dev worlds, so no train world, whatever its seed and size,
can hold a name of any dev world, although all their pieces are the same. Titles of works are English words
("The Silver Lantern"), so one may be met in real life, but not with the facts that a world tells of it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clara_bench.worlds.config import Split
from clara_bench.worlds.draw import Draw

DEV_SHARE = 5
"""One combination in this many is for dev worlds."""
SPARSENESS = 2
"""A world's pools hold at least this many times the combinations that it needs, in either split."""

_ONSETS = "b br d dr f g gr h j k kr l m n p r s st t tr v w z th pl vr".split()
_VOWELS = "a e i o u".split()
_CODAS = "l r n lm rn v d k ss nd lt rv m st x b".split()
_FIRST_ENDINGS = "an el in or a o is ek ia una eth ric".split()
_LAST_ENDINGS = "amer ovin aster ello ander unde ival etsky ombe arik".split()
_CITY_ENDINGS = "mere ford holm wick stead ton haven bury field gate by mark dale burg port cliff".split()
_PLACE_MODIFIERS = (
    "North South East West Upper Lower Port Mount Old New Great Little Fort Cape Lake High Low Long Broad Market "
    "Castle Abbey Bishops Kings Queens Monks Stoke Temple Chapel Glen Middle Nether Over Outer Inner Far Black White "
    "Green Red"
).split()
_COUNTRY_ENDINGS = "ia land ora stan avia una".split()
_RIVER_ENDINGS = "ane usk ey ow een ay ole ist".split()
_WORD_ENDINGS = "ex ix on ara ent ano ium ax".split()
_COMPANY_KINDS = (
    "Foods Systems Works Motors Textiles Press Pictures Records Instruments Glass Logistics Shipping Energy Media "
    "Studios Optics Paper Tools Holdings Electric Brothers Partners Group Industries"
).split()
_STYLES = "United General National Royal International Federal Northern Southern Eastern Western Central".split()
_AWARD_KINDS = "Prize Medal Award Cup Ribbon Trophy Shield Laurel".split()
_ADJECTIVES = (
    "Silver Hollow Crimson Quiet Broken Amber Distant Frozen Golden Hidden Iron Paper Northern Restless Scarlet "
    "Velvet Winter Burning Copper Drifting Empty Fallen Gentle Ivory Jagged Lonely Marble Narrow Pale Rusted Salted "
    "Tangled Unseen Violet Wandering Ashen Bitter Cobalt Dusty Endless Faded Glass Humble Inner Kindled Leaden Misty "
    "Noble Open Painted Quick Rolling Sunken Twisted Vanishing Whispering Emerald Borrowed Crooked Patient"
).split()
_NOUNS = (
    "Lantern Harbour Orchard Compass Garden Mirror Bridge Candle River Tower Feather Anchor Bell Valley Forest Letter "
    "Clock Market Island Window Kettle Meadow Engine Ladder Violin Castle Kite Needle Ocean Path Quarry Rudder Shadow "
    "Tunnel Umbrella Voyage Wheel Falcon Beacon Canyon Doorway Ember Fountain Glacier Hammer Inkwell Journey Kingdom "
    "Lagoon Mountain Notebook Oven Pendulum Quilt Raven Staircase Thistle Uniform Vineyard Willow Chapel Basket "
    "Cellar Drum Ferry Gallery Heron Lighthouse Meteor Nest Parade Railway Sparrow Trumpet Workshop Almanac"
).split()
_GERUNDS = (
    "Counting Crossing Painting Mending Leaving Finding Chasing Building Burying Carrying Climbing Drawing Describing "
    "Feeding Following Guarding Hearing Keeping Learning Losing Mapping Naming Opening Praising Reading Remembering "
    "Saving Selling Sharing Singing Stealing Teaching Turning Measuring Walking Watching Weaving Winning Writing"
).split()
_PLURALS = (
    "Herons Lanterns Wolves Sirens Pilots Strangers Mirrors Foxes Comets Engines Giants Ghosts Harbours Islands "
    "Jackals Kings Ladders Magnets Neighbours Owls Pirates Ravens Sailors Tigers Voyagers Witnesses Arrows Bandits "
    "Cousins Dancers Echoes Falcons Gamblers Hunters Idols Jesters Kites Lions Meteors Nomads Orphans Poets Rebels "
    "Scholars Travellers Uncles Vandals Weavers"
).split()


_UNWANTED = re.compile("fuk|kunt|nig|naz|rap|shit|fag|dik|kok|jap|pis|tit|pus|sex|ass|sod|slut|gay|gook|klan|jew|pron")
"""Letters that no invented word may contain."""


def _spread(size: int) -> list[int]:
    """A fixed order of 0..size-1 in which neighbours look unlike one another."""
    stride = max(1, int(size * 0.618))
    while math.gcd(stride, size) != 1:
        stride += 1
    return [index * stride % size for index in range(size)]


def _words(*parts: Sequence[str]) -> list[str]:
    spelled = ("".join(pieces) for pieces in itertools.product(*parts))
    words = list(dict.fromkeys(word.capitalize() for word in spelled if not _UNWANTED.search(word)))
    return [words[index] for index in _spread(len(words))]


class Scheme(NamedTuple):
    """How the names of one type of entity are put together."""

    first: list[str]
    second: list[str]
    third: list[str]
    """Used, after the plain two-piece names, when two pieces do not give enough combinations."""
    join: Callable[[str, str, str], str]
    """The name of three pieces; the third is "" in a two-piece name."""


def scheme(kind: str) -> Scheme:
    """The pools of a type of entity, "award" included, and how its pieces are joined."""
    return _SCHEMES[kind]()


def _person() -> Scheme:
    first = _words(_ONSETS, _VOWELS, _CODAS, _FIRST_ENDINGS)
    return Scheme(first, _words(_ONSETS, _VOWELS, _CODAS, _LAST_ENDINGS), [], lambda a, b, _: f"{a} {b}")


def _invented() -> list[str]:
    return _words(_ONSETS, _VOWELS, _CODAS, _WORD_ENDINGS)


def _city() -> Scheme:
    return Scheme(
        _words(_ONSETS, _VOWELS, _CODAS), _CITY_ENDINGS, _PLACE_MODIFIERS, lambda a, b, c: f"{c} {a}{b}".strip()
    )


def _country() -> Scheme:
    stems = _words(_ONSETS, _VOWELS, _CODAS, ["a", "e", "o"], ["l", "r", "n", "d"])
    return Scheme(stems, _COUNTRY_ENDINGS, [], lambda a, b, _: a + b)


def _river() -> Scheme:
    stems = _words(_ONSETS, _VOWELS, _CODAS)
    return Scheme(stems, _RIVER_ENDINGS, _PLACE_MODIFIERS, lambda a, b, c: f"{c} {a}{b} River".strip())


def _company() -> Scheme:
    return Scheme(_invented(), _COMPANY_KINDS, _STYLES, lambda a, b, c: f"{c} {a} {b}".strip())


def _award() -> Scheme:
    return Scheme(_invented(), _AWARD_KINDS, _STYLES, lambda a, b, c: f"{c} {a} {b}".strip())


def _film() -> Scheme:
    return Scheme(_ADJECTIVES, _NOUNS, _invented(), lambda a, b, c: f"The {a} {b} of {c}" if c else f"The {a} {b}")


def _book() -> Scheme:
    return Scheme(_GERUNDS, _NOUNS, _invented(), lambda a, b, c: f"{a} the {b} of {c}" if c else f"{a} the {b}")


def _band() -> Scheme:
    return Scheme(_ADJECTIVES, _PLURALS, _invented(), lambda a, b, c: f"{c} and the {a} {b}" if c else f"{a} {b}")


_SCHEMES: dict[str, Callable[[], Scheme]] = {
    "person": _person,
    "city": _city,
    "country": _country,
    "river": _river,
    "company": _company,
    "award": _award,
    "film": _film,
    "book": _book,
    "band": _band,
}


class Naming(NamedTuple):
    """The names of one type in one world."""

    names: list[str]
    pieces: list[tuple[int, int]]
    """The first two pieces of each name, as indexes into the pools: what makes two names alike."""


def name_all(kind: str, count: int, split: Split, draw: Draw) -> Naming:
    """Draw `count` different names of a type, all of combinations that belong to the split."""
    pools = scheme(kind)
    firsts, seconds, thirds = pool_sizes(pools, count)
    taken: set[tuple[int, int, int]] = set()
    names: list[str] = []
    pieces: list[tuple[int, int]] = []
    while len(names) < count:
        key = (draw.below(firsts), draw.below(seconds), draw.below(thirds))
        if key in taken or (of_dev(key) != (split == "dev")):
            continue
        taken.add(key)
        names.append(pools.join(pools.first[key[0]], pools.second[key[1]], pools.third[key[2] - 1] if key[2] else ""))
        pieces.append(key[:2])
    return Naming(names, pieces)


def pool_sizes(pools: Scheme, count: int) -> tuple[int, int, int]:
    """How many pieces of each pool a world of `count` such entities uses (third: 1 means none)."""
    needed = count * SPARSENESS * DEV_SHARE
    second = min(len(pools.second), max(6, math.ceil(math.sqrt(needed))))
    first = min(len(pools.first), max(6, math.ceil(needed / second)))
    second = min(len(pools.second), max(second, math.ceil(needed / first)))
    third = math.ceil(needed / (first * second))
    assert third <= len(pools.third) + 1, f"{count} names need {third} third pieces, there are {len(pools.third)}"
    return first, second, third


def of_dev(key: tuple[int, int, int]) -> bool:
    """Whether a combination of pieces is kept for dev worlds: a fixed hash, the same in every world."""
    first, second, third = key
    mixed = (first * 2654435761 + second * 2246822519 + third * 3266489917) & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) * 668265263 >> 13) % DEV_SHARE == 0
