"""What a world is about: the types of entity, and the relations that a passage of each type may state.

Three rules keep every question's answer unique and its support minimal. A relation has one value. It is
stated in the passage of its subject and nowhere else. And no relation follows from another one backwards,
so there is no way round a gold passage.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["person", "city", "country", "company", "film", "band", "book", "river", "year", "number", "text"]

SHARES: dict[str, float] = {
    "person": 0.406,
    "city": 0.09,
    "country": 0.014,
    "company": 0.12,
    "film": 0.14,
    "band": 0.08,
    "book": 0.10,
    "river": 0.05,
}
"""Share of the passages that are about each type."""

FEWEST_ENTITIES = 6
"""Of each type, in the smallest worlds (countries have the smallest share)."""
FEWEST_FACTS, MOST_FACTS = 3, 7
"""Facts that a passage states, awards and mentions apart."""


class Relation(NamedTuple):
    """One kind of fact."""

    subject: str
    name: str
    target: Kind
    wiki: str
    """The property's label in 2WikiMultihopQA's evidence triples, which are Wikidata's."""
    stated: float
    """Probability that the subject's passage states it."""
    hard_only: bool = False
    """True for a second value of a kind that the passage already has."""
    low: int = 0
    """Lowest value of a year or number."""
    high: int = 0

    @property
    def key(self) -> str:
        """The name that is unique in the ontology: "film.director"."""
        return f"{self.subject}.{self.name}"


_TABLE = (
    Relation("person", "occupation", "text", "occupation", 1.0),
    Relation("person", "born", "year", "date of birth", 1.0, low=1880, high=1990),
    Relation("person", "birthplace", "city", "place of birth", 1.0),
    Relation("person", "father", "person", "father", 0.75),
    Relation("person", "mother", "person", "mother", 0.75),
    Relation("person", "spouse", "person", "spouse", 0.75),
    Relation("person", "hobby", "text", "interested in", 0.6),
    Relation("person", "residence", "city", "residence", 0.5, hard_only=True),
    Relation("city", "country", "country", "country", 0.95),
    Relation("city", "mayor", "person", "head of government", 0.85),
    Relation("city", "founded", "year", "inception", 0.7, low=1100, high=1850),
    Relation("city", "population", "number", "population", 0.7, low=2_000, high=900_000),
    Relation("city", "known_for", "text", "product or material produced", 0.7),
    Relation("city", "river", "river", "located in or next to body of water", 0.6),
    Relation("city", "architect", "person", "architect", 0.6, hard_only=True),
    Relation("country", "capital", "city", "capital", 1.0),
    Relation("country", "president", "person", "head of state", 0.9),
    Relation("country", "currency", "text", "currency", 0.7),
    Relation("country", "language", "text", "official language", 0.8),
    Relation("country", "independence", "year", "inception", 0.8, low=1780, high=1970),
    Relation("country", "anthem", "person", "anthem", 0.6, hard_only=True),
    Relation("company", "founder", "person", "founded by", 0.9),
    Relation("company", "headquarters", "city", "headquarters location", 0.9),
    Relation("company", "founded", "year", "inception", 0.8, low=1900, high=2030),
    Relation("company", "product", "text", "product or material produced", 0.8),
    Relation("company", "employees", "number", "employees", 0.5, low=40, high=90_000),
    Relation("company", "award", "text", "sponsor", 0.6),
    Relation("company", "chief", "person", "chief executive officer", 0.6, hard_only=True),
    Relation("film", "director", "person", "director", 0.95),
    Relation("film", "year", "year", "publication date", 0.85, low=1900, high=2030),
    Relation("film", "studio", "company", "production company", 0.8),
    Relation("film", "genre", "text", "genre", 0.8),
    Relation("film", "setting", "city", "narrative location", 0.6),
    Relation("film", "minutes", "number", "duration", 0.4, low=70, high=200),
    Relation("film", "star", "person", "cast member", 0.8, hard_only=True),
    Relation("film", "composer", "person", "composer", 0.6, hard_only=True),
    Relation("band", "singer", "person", "has part", 0.95),
    Relation("band", "city", "city", "location of formation", 0.9),
    Relation("band", "year", "year", "inception", 0.85, low=1900, high=2030),
    Relation("band", "genre", "text", "genre", 0.85),
    Relation("band", "label", "company", "record label", 0.85),
    Relation("band", "drummer", "person", "drummer", 0.7, hard_only=True),
    Relation("book", "author", "person", "author", 0.95),
    Relation("book", "year", "year", "publication date", 0.85, low=1900, high=2030),
    Relation("book", "publisher", "company", "publisher", 0.85),
    Relation("book", "subject", "text", "main subject", 0.8),
    Relation("book", "pages", "number", "number of pages", 0.6, low=90, high=900),
    Relation("book", "setting", "city", "narrative location", 0.5),
    Relation("book", "illustrator", "person", "illustrator", 0.7, hard_only=True),
    Relation("river", "explorer", "person", "discoverer or inventor", 0.9),
    Relation("river", "mapped", "year", "time of discovery", 0.8, low=1900, high=2030),
    Relation("river", "length", "number", "length", 0.9, low=30, high=2_400),
    Relation("river", "fish", "text", "fauna", 0.8),
    Relation("river", "dam", "company", "operator", 0.6),
    Relation("river", "bridge", "person", "structural engineer", 0.6, hard_only=True),
)

RELATIONS: dict[str, Relation] = {relation.key: relation for relation in _TABLE}

THEMES: dict[str, tuple[str, ...]] = {
    "person": ("person.birthplace", "person.occupation"),
    "city": ("city.country", "city.known_for", "city.river"),
    "country": ("country.currency", "country.language"),
    "company": ("company.headquarters", "company.product"),
    "river": ("river.fish", "river.dam"),
}
"""Version 2: what all members of a passage may have in common. A question may tell it, as it says nothing of which
member is meant. Of the types that a passage of another type may name."""

AWARDED = "person.awarded"
"""The one relation with a qualifier: the city in which a person received a named award. Hard tier only."""
MENTION = "person.mention"
"""A work, band or company that a person's passage names without saying how the two are connected."""
MENTIONED_TYPES = ("film", "book", "band", "company")

LITERALS: dict[str, tuple[str, ...]] = {
    "person.occupation": tuple(
        "botanist,cellist,engineer,chess player,journalist,surgeon,geologist,translator,sculptor,astronomer,lawyer,"
        "photographer,economist,fencer,playwright,chemist,watchmaker,historian,dancer,pilot,librarian,rower,pianist,"
        "cartographer,carpenter,physicist,tailor,beekeeper,painter,linguist".split(",")
    ),
    "person.hobby": tuple(
        "stamp collecting,fly fishing,archery,bookbinding,bird watching,origami,sailing,wood carving,crosswords,"
        "long-distance walking,ice skating,pottery,map collecting,juggling,gardening,kite making,table tennis,"
        "calligraphy".split(",")
    ),
    "city.known_for": tuple(
        "glassware,carpets,clock towers,apple orchards,salt mines,kites,pottery,stone bridges,mustard,shipyards,"
        "puppet theatre,hot springs,lace,paper mills,honey cakes,bell foundries,smoked fish,rose gardens,canals,"
        "marionettes".split(",")
    ),
    "country.currency": tuple("dalm,velk,torin,pesk,marn,zolt,crell,hest,quen,brod,lupin,sard".split(",")),
    "country.language": tuple(
        "Ostrian,Velmic,Tarsi,Quendish,Morvan,Ilkari,Brettic,Sunnari,Hadrish,Polvic,Zentish,Ardic".split(",")
    ),
    "company.product": tuple(
        "bicycles,lamps,telescopes,chocolate,wool coats,batteries,pianos,paint,tractors,umbrellas,porcelain,ink,"
        "fishing nets,elevators,board games,cameras,rope,candles,kettles,shoes,maps,radios,soap,lenses".split(",")
    ),
    "film.genre": tuple("drama,comedy,thriller,western,war,fantasy,mystery,adventure,horror,musical".split(",")),
    "band.genre": tuple("folk,jazz,rock,punk,swing,electronic,blues,metal,reggae,chamber pop".split(",")),
    "book.subject": tuple(
        "exile,smuggling,a shipwreck,a lost inheritance,grief,gardening,an election,mountaineering,a strike,"
        "first love,revenge,a circus,forgery,a flood,old age,espionage".split(",")
    ),
    "river.fish": tuple("trout,eels,pike,salmon,carp,sturgeon,perch,grayling,catfish,bream".split(",")),
}
"""The closed lists; "company.award" has one invented name for each company instead."""


def relations_of(kind: str, hard: bool) -> list[Relation]:
    """The relations that a passage of a type may state in a tier, awards and mentions apart."""
    return [relation for relation in _TABLE if relation.subject == kind and (hard or not relation.hard_only)]


def is_entity(target: str) -> bool:
    """Whether values of this kind have a passage of their own."""
    return target in SHARES
