"""Questions that need two facts of one passage: both are asked for, or one identifies the other.

With `lessons` and `chains` these are the complex questions that CLaRa pretrains its compressor on. Here the
entity of a described question ("the film directed by ...") is certain only among the passages at hand.
"""

from __future__ import annotations

from typing import NamedTuple

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import SHARES
from clara_bench.worlds.questions.wordings import ASKS, NAMED

DESCRIBED: dict[str, str] = {
    "person.occupation": "the person who was {a_o} by profession",
    "person.born": "the person born in {o}",
    "person.birthplace": "the person born in the city of {o}",
    "person.father": "the person whose father was {o}",
    "person.mother": "the person whose mother was {o}",
    "person.spouse": "the person married to {o}",
    "person.hobby": "the person whose great hobby was {o}",
    "person.residence": "the person who lived in {o}",
    "city.country": "the city in {o}",
    "city.mayor": "the city whose mayor is {o}",
    "city.founded": "the city founded in {o}",
    "city.population": "the city with {o} inhabitants",
    "city.known_for": "the city known for its {o}",
    "city.river": "the city on the {o}",
    "city.architect": "the city whose town hall was designed by {o}",
    "country.capital": "the country whose capital is {o}",
    "country.president": "the country whose president is {o}",
    "country.currency": "the country whose currency is the {o}",
    "country.language": "the country whose official language is {o}",
    "country.independence": "the country that became independent in {o}",
    "country.anthem": "the country whose national anthem was composed by {o}",
    "company.founder": "the company founded by {o}",
    "company.headquarters": "the company based in {o}",
    "company.founded": "the company founded in {o}",
    "company.product": "the company that makes {o}",
    "company.employees": "the company with {o} employees",
    "company.award": "the company that sponsors the {o}",
    "company.chief": "the company run by {o}",
    "film.director": "the film directed by {o}",
    "film.year": "the film released in {o}",
    "film.studio": "the film produced by {o}",
    "film.genre": "the film of the {o} genre",
    "film.setting": "the film set in {o}",
    "film.minutes": "the film that lasts {o} minutes",
    "film.star": "the film starring {o}",
    "film.composer": "the film with music by {o}",
    "band.singer": "the band whose singer is {o}",
    "band.city": "the band from {o}",
    "band.year": "the band formed in {o}",
    "band.genre": "the band that plays {o}",
    "band.label": "the band signed to {o}",
    "band.drummer": "the band whose drummer is {o}",
    "book.author": "the novel by {o}",
    "book.year": "the novel published in {o}",
    "book.publisher": "the novel published by {o}",
    "book.subject": "the novel about {o}",
    "book.pages": "the novel with {o} pages",
    "book.setting": "the novel set in {o}",
    "book.illustrator": "the novel illustrated by {o}",
    "river.explorer": "the river first mapped by {o}",
    "river.mapped": "the river first mapped in {o}",
    "river.length": "the river with a length of {o} kilometres",
    "river.fish": "the river rich in {o}",
    "river.dam": "the river whose dam is run by {o}",
    "river.bridge": "the river whose longest bridge was designed by {o}",
}
"""An entity by one of its facts alone."""

AGAIN: dict[str, str] = {kind: f"that {kind}" for kind in SHARES} | {"book": "that novel"}
"""An entity in the second half of a question that has named it."""


class Known(NamedTuple):
    """A fact of a passage, as a question needs it."""

    key: str
    """Its relation."""
    value: str
    """As the passage spells it."""
    award: str = ""
    """By name, for `AWARDED`."""


def both(world: Encyclopaedia, draw: Draw, entity: int, asked: tuple[Known, Known]) -> str:
    """A question for two facts of a named entity."""
    name = draw.pick(NAMED[world.kind(entity)]).format(x=world.names[entity])
    first, second = asked
    opening = _ask(draw, first, name)
    ending = _ask(draw, second, AGAIN[world.kind(entity)])
    return f"{opening[0].upper()}{opening[1:-1]}, and {ending[0].lower()}{ending[1:]}"


def described(draw: Draw, by: Known, asked: Known) -> str:
    """A question for one fact of an entity that is told by another of its facts, which has no award."""
    article = "an" if by.value[0] in "aeiou" else "a"
    subject = DESCRIBED[by.key].format(o=by.value, a_o=f"{article} {by.value}")
    question = _ask(draw, asked, subject)
    return question[0].upper() + question[1:]


def _ask(draw: Draw, asked: Known, subject: str) -> str:
    """Worded with the subject last, if possible."""
    fit = [template for template in ASKS[asked.key] if template.endswith("{x}?")]
    return draw.pick(fit or ASKS[asked.key]).format(x=subject, q=asked.award)
