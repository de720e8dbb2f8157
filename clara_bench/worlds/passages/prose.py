"""Writes the passage of an entity from its facts, and records which sentence states which fact."""

from __future__ import annotations

from typing import NamedTuple

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED, MENTION, relations_of
from clara_bench.worlds.passages.templates import (
    AWARDED_SENTENCES,
    FILLERS,
    OPENINGS,
    PRONOUNS,
    SENTENCES,
    SHARED_MENTIONS,
)

NAME_FRACTION = 0.3
"""Share of sentences after the first that repeat the name rather than use a pronoun."""
NAME_FRACTION_OF_SEVERAL = 0.8
"""The same, where a passage is about several entities."""
SHORT_WORDS = 36
"""Passages with fewer words than this get sentences that state no fact."""
PAST_BEFORE = 1930
"""People born earlier are written of in the past tense."""


class Prose(NamedTuple):
    """A passage as sentences."""

    sentences: list[str]
    """Without blanks at either end."""
    places: dict[tuple[int, str], int]
    """Entity and relation (its key) -> index of the sentence that states it; exactly the facts that are stated."""


class Writer:
    """Writes the passages of one world; deterministic. Another voice words the same facts differently."""

    def __init__(self, world: Encyclopaedia, voice: str = "prose") -> None:
        self.world = world
        self._draw = Draw("prose")
        self._seed = world.draw(voice).below(2**48)
        self._relations = {
            kind: [(relation.name, relation.key) for relation in relations_of(kind, world.hard)]
            for kind in world.members
        }

    def text(self, entity: int) -> str:
        """The passage of an entity as one string."""
        return " ".join(self.write(entity).sentences)

    def write(self, host: int) -> Prose:
        """The passage that is named after an entity, sentence by sentence."""
        self._draw.reseed(self._seed + host)
        world, kind = self.world, self.world.kind(host)
        prose = Prose([], {})
        if world.group == 1:
            self._lengthen(prose.sentences, FILLERS[kind], self._write_about(prose, host, kind))
            return prose
        for entity in self._draw.shuffled(world.inside(host)):
            self._write_about(prose, entity, kind)
        if host in world.mentions:
            prose.places[host, MENTION] = len(prose.sentences)
            prose.sentences.append(self._draw.pick(SHARED_MENTIONS).format(o=self._mentioned(host)))
        return prose

    def _write_about(self, prose: Prose, entity: int, kind: str) -> dict[str, str]:
        """Add what is stated of one entity; the words that stand for it are returned."""
        sentences, places = prose
        values = self._values(entity, kind)
        names, opening = self._opening(kind, values)
        words = self._words(entity, kind)
        places.update({(entity, f"{kind}.{name}"): len(sentences) for name in names})
        sentences.append(opening.format(**words, **values, **_with_articles(values)))
        for key in self._draw.shuffled(self._unsaid(entity, kind, values, names)):
            places[entity, key] = len(sentences)
            sentences.append(self._sentence(entity, key, values, words))
        return words

    def _values(self, entity: int, kind: str) -> dict[str, str]:
        """Relation name -> value as spelled, for all that is stated."""
        world = self.world
        found = ((name, key, world.value(entity, key)) for name, key in self._relations[kind])
        return {name: world.surface(key, value) for name, key, value in found if value is not None}

    def _words(self, entity: int, kind: str) -> dict[str, str]:
        """What fills the slots that stand for the subject, where it is named."""
        name = self.world.names[entity]
        if kind != "person":
            own = ("Their", "their", "they") if kind == "band" else ("Its", "its", "it")
            return {"N": name, "P": own[0], "p": own[1], "s": own[2], "be": "is"}
        female = self.world.female[entity - self.world.members["person"].start]
        born = self.world.value(entity, "person.born")
        own = ("Her", "her", "she") if female else ("His", "his", "he")
        be = "was" if born is not None and born < PAST_BEFORE else "is"
        return {"N": name, "P": own[0], "p": own[1], "s": own[2], "be": be}

    def _opening(self, kind: str, values: dict[str, str]) -> tuple[tuple[str, ...], str]:
        fit = [opening for opening in OPENINGS[kind] if all(name in values for name in opening[0])]
        telling = [opening for opening in fit if opening[0]]
        return self._draw.pick(telling or fit)

    def _unsaid(self, entity: int, kind: str, values: dict[str, str], said: tuple[str, ...]) -> list[str]:
        keys = [f"{kind}.{name}" for name in values if name not in said]
        keys += [AWARDED] if entity in self.world.receipts else []
        return keys + ([MENTION] if entity in self.world.mentions and self.world.group == 1 else [])

    def _sentence(self, entity: int, key: str, values: dict[str, str], words: dict[str, str]) -> str:
        draw = self._draw
        kind, name = key.split(".")
        repeat = draw.chance(NAME_FRACTION if self.world.group == 1 else NAME_FRACTION_OF_SEVERAL)
        full = f"The {words['N']}" if kind == "river" else words["N"]
        start = full if repeat else draw.pick(PRONOUNS.get(kind) or (words["s"].capitalize(),))
        owner = full + ("'" if full.endswith("s") else "'s") if repeat else words["P"]
        filled = words | {"S": start, "P": owner}
        if key == AWARDED:
            fit = self._naming(AWARDED_SENTENCES, repeat)
            return draw.pick(fit).format(**filled, **self._ceremonies(entity, words["s"]))
        value = self._mentioned(entity) if key == MENTION else values[name]
        sentence = draw.pick(self._naming(SENTENCES[key], repeat)).format(**filled, o=value)
        return sentence[0].upper() + sentence[1:]

    def _naming(self, templates: tuple[str, ...], repeat: bool) -> list[str]:
        """Where a passage is about several entities, the templates in which a name can be repeated, if it is to be."""
        naming = [one for one in templates if "{S}" in one or "{P}" in one]
        return naming if repeat and naming and self.world.group > 1 else list(templates)

    def _lengthen(self, sentences: list[str], fillers: tuple[str, ...], words: dict[str, str]) -> None:
        length = sum(sentence.count(" ") + 1 for sentence in sentences)
        for filler in self._draw.shuffled(fillers):
            if length >= SHORT_WORDS:
                break
            sentences.append(filler.format(**words))
            length += filler.count(" ") + 1

    def _mentioned(self, entity: int) -> str:
        other = self.world.mentions[entity]
        return f"the {self.world.kind(other)} {self.world.names[other]}"

    def _ceremonies(self, entity: int, pronoun: str) -> dict[str, str]:
        world = self.world
        (first, first_city), (second, second_city) = world.receipts[entity]
        return {
            "first_award": world.awards[first],
            "first_city": world.names[first_city],
            "second_award": world.awards[second],
            "second_city": world.names[second_city],
            "o": "her" if pronoun == "she" else "him",
        }


def _with_articles(values: dict[str, str]) -> dict[str, str]:
    """The values that an opening may put an article before.

    >>> _with_articles({"genre": "adventure", "year": "1990"})
    {'a_genre': 'an adventure'}
    """
    found = ((name, values[name]) for name in ("occupation", "genre", "language") if name in values)
    return {f"a_{name}": f"{'an' if value[0] in 'aeiouAIEOU' else 'a'} {value}" for name, value in found}
