"""Facts stated in the first sentences of Wikipedia passages in fixed patterns: life dates, directors of films."""

from __future__ import annotations

import re
from typing import NamedTuple

from reference.rows.example import PassageText, split

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = rf"(?:\d{{1,2}} (?:{MONTHS}),? \d{{4}}|(?:{MONTHS}) \d{{1,2}}, ?\d{{4}})"
_LIFE = re.compile(rf"\([^()]*?(?:born )?(?P<born>{DATE})(?:\s*[–-]\s*(?P<died>{DATE}))?[^()]*\)")
_FILM = re.compile(
    r"\bis an? (?:upcoming )?(?P<year>\d{4}) (?P<kind>[^.]*?\bfilm\b)[^.]*?"
    r"\bdirected by (?P<by>[A-Z][\w.'-]*(?: [A-Z][\w.'-]*){1,3})"
)
_NATION = re.compile(r"\b(?:was|is) an? (?:former |retired |late )?(?P<nation>[A-Z][a-z]+(?:-[A-Z]?[a-z]+)?)\b")
NATIONS = frozenset(
    "American British English Scottish Welsh Irish Canadian Australian German French Italian Spanish Portuguese Dutch "
    "Belgian Swiss Austrian Swedish Norwegian Danish Finnish Icelandic Polish Czech Slovak Hungarian Romanian "
    "Bulgarian Greek Turkish Russian Soviet Ukrainian Serbian Croatian Slovenian Indian Pakistani Bangladeshi Chinese "
    "Japanese Korean Vietnamese Thai Filipino Indonesian Malaysian Israeli Iranian Egyptian Nigerian Kenyan Ghanaian "
    "Mexican Brazilian Argentine Chilean Colombian Peruvian Cuban Jamaican".split()
)


class Day(NamedTuple):
    """A date that can be compared."""

    year: int
    month: int
    day: int
    text: str
    """As the passage writes it."""


class Person(NamedTuple):
    """A person's passage."""

    name: str
    text: PassageText
    born: Day
    died: Day | None
    nation: str
    """"" if the first sentence does not say."""


class Film(NamedTuple):
    """A film's passage."""

    name: str
    text: PassageText
    year: int
    director: str
    nation: str


def day(text: str) -> Day:
    """A date as the passages write it.

    >>> day("24 July 1978")[:3], day("March 7, 1953")[:3]
    ((1978, 7, 24), (1953, 3, 7))
    """
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    month = next(place for place, name in enumerate(MONTHS.split("|"), 1) if name in text)
    return Day(numbers[1], month, numbers[0], text)


def bare(title: str) -> str:
    """A title without its disambiguation.

    >>> bare("Dune (2020 film)")
    'Dune'
    """
    return re.sub(r"\s*\([^()]*\)$", "", title)


def person(text: PassageText) -> Person | None:
    """The person that a passage is about, if its opening says when they were born."""
    title, body = split(text)
    opening = body[:260]
    found = _LIFE.search(opening)
    if not found or bare(title).split()[-1].lower() not in opening[: found.start()].lower():
        return None
    died = found["died"]
    return Person(bare(title), text, day(found["born"]), day(died) if died else None, _nation(opening[found.end() :]))


def film(text: PassageText) -> Film | None:
    """The film that a passage is about, if its opening says from when and by whom it is."""
    title, body = split(text)
    found = _FILM.search(body[:260])
    if not found:
        return None
    nation = found["kind"].split()[0]
    return Film(bare(title), text, int(found["year"]), found["by"], nation if nation in NATIONS else "")


def _nation(opening: str) -> str:
    found = _NATION.search(opening)
    return found["nation"] if found and found["nation"] in NATIONS else ""
