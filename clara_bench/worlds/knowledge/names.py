"""Synthetic names, composed of parts that many entities of a type share.

A name is a combination of two pieces (of three in big worlds) from fixed, ordered pools; a world uses
the first pieces of each pool, so that a small world has few pieces, each in many names, and every
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
from dataclasses import dataclass
from typing import NamedTuple

from clara_bench.worlds.config import Split
from clara_bench.worlds.knowledge.draw import Draw

DEV_SHARE = 5
"""One combination in this many is for dev worlds."""
HELD_OUT = 8
"""One piece in this many occurs in dev worlds alone, from version 2 on."""
SPARSENESS = 2
"""A world's pools hold at least this many times the combinations that it needs, in either split."""
FEWEST_THIRDS = 24
"""Where two pieces are not enough, there is a choice of at least so many third ones."""

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
_LINKS = "al ar an ad el er en ed ol or on od".split()
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


_UNWANTED = re.compile(
    "fuk|kunt|nig|naz|rap|shit|fag|dik|kok|jap|pis|tit|pus|sex|ass|sod|slut|gay|gook|klan|jew|pron|hern"
)
"""Letters that no invented word may contain."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Pieces of names in a fixed order; a world uses the first ones."""

    parts: tuple[Sequence[str], ...]
    """Each piece joins one of every part; a single part is a list of complete pieces, taken in its own order."""

    def __len__(self) -> int:
        """How many there are; of joined pieces about two in a hundred turn out unwanted."""
        return math.prod(len(part) for part in self.parts)

    def first(self, count: int) -> list[str]:
        """The first pieces, neighbours in the order being unlike one another."""
        if len(self.parts) == 1:
            return list(self.parts[0][:count])
        size, stride = len(self), _stride(len(self))
        words = (self._join(place * stride % size) for place in range(size))
        return list(itertools.islice((word for word in words if not _UNWANTED.search(word.lower())), count))

    def _join(self, number: int) -> str:
        pieces = []
        for part in reversed(self.parts):
            number, place = divmod(number, len(part))
            pieces.append(part[place])
        return "".join(reversed(pieces)).capitalize()


def _stride(size: int) -> int:
    """A step that visits all of a circle of places."""
    stride = int(size * 0.618)
    while math.gcd(stride, size) != 1:
        stride += 1
    return stride


class Scheme(NamedTuple):
    """How the names of one type of entity are put together."""

    first: Pool
    second: Pool
    third: Pool
    """Used, after the plain two-piece names, when two pieces do not give enough combinations."""
    join: Callable[[str, str, str], str]
    """The name of three pieces; the third is "" in a two-piece name."""


def scheme(kind: str) -> Scheme:
    """The pools of a type of entity, "award" included, and how its pieces are joined.

    Raises:
        KeyError: no such type.
    """
    syllables = (_ONSETS, _VOWELS, _CODAS)
    stems, invented = Pool(syllables), Pool((*syllables, _WORD_ENDINGS))
    lands = Pool((*syllables, _LINKS))
    people = Pool((*syllables, _FIRST_ENDINGS)), Pool((*syllables, _LAST_ENDINGS))
    modifiers, styles, none = Pool((_PLACE_MODIFIERS,)), Pool((_STYLES,)), Pool(((),))
    adjectives, nouns = Pool((_ADJECTIVES,)), Pool((_NOUNS,))
    return {
        "person": Scheme(*people, none, lambda a, b, _: f"{a} {b}"),
        "city": Scheme(stems, Pool((_CITY_ENDINGS,)), modifiers, lambda a, b, c: f"{c} {a}{b}".strip()),
        "country": Scheme(lands, Pool((_COUNTRY_ENDINGS,)), none, lambda a, b, _: a + b),
        "river": Scheme(stems, Pool((_RIVER_ENDINGS,)), modifiers, lambda a, b, c: f"{c} {a}{b} River".strip()),
        "company": Scheme(invented, Pool((_COMPANY_KINDS,)), styles, lambda a, b, c: f"{c} {a} {b}".strip()),
        "award": Scheme(invented, Pool((_AWARD_KINDS,)), styles, lambda a, b, c: f"{c} {a} {b}".strip()),
        "film": Scheme(adjectives, nouns, invented, lambda a, b, c: f"The {a} {b}" + (f" of {c}" if c else "")),
        "book": Scheme(Pool((_GERUNDS,)), nouns, invented, lambda a, b, c: f"{a} the {b}" + (f" of {c}" if c else "")),
        "band": Scheme(adjectives, Pool((_PLURALS,)), invented, _band),
    }[kind]


def _band(adjective: str, noun: str, leader: str) -> str:
    return f"{leader} and the {adjective} {noun}" if leader else f"{adjective} {noun}"


class Naming(NamedTuple):
    """The names of one type in one world."""

    names: list[str]
    pieces: list[tuple[int, int]]
    """The first two pieces of each name, as indexes into the pools: what makes two names alike."""


def name_all(kind: str, count: int, split: Split, draw: Draw, held_out: bool = False) -> Naming:
    """Draw `count` different names of a type, all of combinations that belong to the split.

    With `held_out`, names of train worlds use none of the pieces that are kept for dev worlds.
    """
    pools = scheme(kind)
    sizes = pool_sizes(pools, count)
    first, second, third = (pool.first(size) for pool, size in zip(pools[:3], sizes, strict=True))
    third = ["", *third]
    taken: set[tuple[int, int, int]] = set()
    names: list[str] = []
    pieces: list[tuple[int, int]] = []
    while len(names) < count:
        key = (draw.below(len(first)), draw.below(len(second)), draw.below(len(third)))
        if key in taken or of_dev(key) != (split == "dev") or (held_out and split == "train" and unseen(key)):
            continue
        taken.add(key)
        names.append(pools.join(first[key[0]], second[key[1]], third[key[2]]))
        pieces.append(key[:2])
    return Naming(names, pieces)


def pool_sizes(pools: Scheme, count: int) -> tuple[int, int, int]:
    """How many pieces of each pool a world of `count` such entities uses."""
    needed = count * SPARSENESS * DEV_SHARE
    second = min(len(pools.second), max(6, math.ceil(math.sqrt(needed))))
    first = min(len(pools.first), max(6, math.ceil(needed / second)))
    second = min(len(pools.second), max(second, math.ceil(needed / first)))
    third = math.ceil(needed / (first * second)) - 1
    assert third <= len(pools.third), f"{count} names need {third} third pieces, there are {len(pools.third)}"
    return first, second, min(len(pools.third), max(third, FEWEST_THIRDS)) if third else 0


def unseen(key: tuple[int, int, int]) -> bool:
    """Whether a name of a world of version 2 has a piece that occurs in dev worlds alone."""
    return any(piece % HELD_OUT == HELD_OUT - 1 for piece in key)


def of_dev(key: tuple[int, int, int]) -> bool:
    """Whether a combination of pieces is kept for dev worlds: a fixed hash, the same in every world."""
    first, second, third = key
    mixed = (first * 2654435761 + second * 2246822519 + third * 3266489917) & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) * 668265263 >> 13) % DEV_SHARE == 0
