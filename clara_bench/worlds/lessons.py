"""Training material for a compressor: a question about each fact of a passage, and a paraphrase of the passage.

Two of the three kinds of target that CLaRa pretrains its compressor on (CLaRa, section on salient compressor
pretraining: simple QA, complex QA, paraphrase).
"""

from __future__ import annotations

from typing import NamedTuple

from clara_bench.worlds.forms import Fact
from clara_bench.worlds.knowledge.ontology import MENTION
from clara_bench.worlds.passages.prose import Writer
from clara_bench.worlds.questions.verbalize import Asker
from clara_bench.worlds.world import World


class Lesson(NamedTuple):
    """A question that one passage answers."""

    question: str
    answer: str
    fact: Fact


def questions_about(world: World, passage_id: str) -> list[Lesson]:
    """A single-hop question about every fact that a passage states, mentions apart; the same each time.

    Raises:
        KeyError: no such passage.
    """
    host, known = world.entity(passage_id), world.press.world
    asker = Asker(known, known.draw(f"lesson {passage_id}"))
    entities = {known.names[entity]: entity for entity in known.inside(host)}
    found = [fact for fact in world.facts(passage_id) if fact.relation != MENTION]
    return [
        Lesson(asker.single(entities[fact.subject], fact.relation, fact.qualifier), fact.value, fact) for fact in found
    ]


def paraphrase(world: World, passage_id: str, number: int = 1) -> str:
    """The facts of a passage in another order and wording; each number is another paraphrase.

    Raises:
        KeyError: no such passage.
    """
    return Writer(world.press.world, f"paraphrase {number}").text(world.entity(passage_id))
