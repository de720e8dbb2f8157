"""Writes plans as rows of the four official raw schemas.

The forms are those of the published files: DPR's with passages (as "lost in the middle" publishes Natural
Questions), HotpotQA distractor, MuSiQue, 2WikiMultihopQA. One key is added, "link": on HotpotQA's
bridge rows, and on questions in unseen forms.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.facts import encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED, RELATIONS, is_entity
from clara_bench.worlds.passages.prose import Writer
from clara_bench.worlds.questions.plans import Hop, Plan, surface, target_is_entity
from clara_bench.worlds.questions.verbalize import Asker, in_unseen_form

UNITS = {"river.length": "kilometres", "film.minutes": "minutes", "book.pages": "pages", "company.employees": "people"}
"""What may follow a number in an answer."""
CACHED_PASSAGES = 20_000
"""As many passages are kept while rows are written; each is a candidate of several questions."""


class Item(NamedTuple):
    """A plan with its words and its candidates."""

    plan: Plan
    question: str
    candidates: list[int]
    """Entities, in the order in which they are offered."""
    removed: int | None = None
    """The gold entity that was left out of the candidates of an unanswerable question."""


class Press:
    """Everything that rows are written with."""

    def __init__(self, world: Encyclopaedia, writer: Writer, asker: Asker, ids: list[str]) -> None:
        self.world = world
        self.writer = writer
        self.prose = lru_cache(maxsize=CACHED_PASSAGES)(writer.write)
        """As `writer.write`, quicker for what was written lately."""
        self.asker = asker
        self.ids = ids
        """Id of the passage about each entity."""

    def text(self, entity: int) -> str:
        """The passage about an entity as one string."""
        return " ".join(self.prose(self.world.host(entity)).sentences)

    def title(self, entity: int) -> str:
        """Title of the passage about an entity: the name of its host."""
        return self.world.names[self.world.host(entity)]

    def place(self, hop: Hop) -> int:
        """Index of the sentence that states a hop."""
        return self.prose(self.world.host(hop.entity)).places[hop.entity, hop.key]


def open_press(purpose: str, config: WorldConfig) -> Press:
    """The world of a config, ready to write questions for a purpose."""
    world = encyclopaedia(config)
    ids = [""] * len(world.names)
    for number, host in enumerate(world.order):
        for entity in world.inside(host):
            ids[entity] = f"w{number:07d}"
    return Press(world, Writer(world), Asker(world, world.draw(f"words of {purpose}")), ids)


def nq(press: Press, item: Item) -> dict[str, Any]:
    """DPR's form: question, answers, and passages marked as gold or not."""
    answers = [item.plan.answer, *aliases(press.world, item.plan)]
    return {
        "question": item.question,
        "answers": answers,
        "ctxs": [_context(press, entity, answers, entity in item.plan.gold) for entity in item.candidates],
    } | _link(press, item.plan)


def _link(press: Press, plan: Plan) -> dict[str, str]:
    """What the official forms lack: how a hidden passage can be found, and whether the wording was never practised."""
    form = "unseen" if in_unseen_form(press.world, plan) else "seen" if _plain(press, plan) else ""
    link = "-".join(part for part in (plan.link, form) if part)
    return {"link": link} if link else {}


def _plain(press: Press, plan: Plan) -> bool:
    """Natural Questions has no kinds, so that in version 2 both sorts of wording are named."""
    return press.world.config.version > 1 and plan.kind == "single"


def _context(press: Press, entity: int, answers: list[str], gold: bool) -> dict[str, Any]:
    title, text = press.title(entity), press.text(entity)
    has_answer = any(answer in text for answer in answers)
    return {"id": press.ids[entity], "title": title, "text": text, "hasanswer": has_answer, "isgold": gold}


def hotpotqa(press: Press, item: Item) -> dict[str, Any]:
    """HotpotQA's form; every sentence but the first of a passage starts with a blank."""
    plan = item.plan
    row: dict[str, Any] = {
        "_id": _digest(press, item)[:24],
        "question": item.question,
        "answer": plan.answer,
        "type": plan.kind,
        "level": press.world.config.tier,
        "supporting_facts": _support(press, plan),
        "context": [],
    }
    for entity in item.candidates:
        first, *rest = press.prose(entity).sentences
        row["context"].append([press.title(entity), [first, *(f" {sentence}" for sentence in rest)]])
    return row | _link(press, plan)


def musique(press: Press, item: Item) -> dict[str, Any]:
    """MuSiQue's form; an unanswerable question lacks one supporting paragraph but keeps its answer."""
    plan = item.plan
    steps = [_step(press, item, hop) for hop in plan.hops]
    return {
        "id": f"{plan.kind}__" + "_".join(str(step["id"]) for step in steps),
        "paragraphs": [_paragraph(press, item, number) for number in range(len(item.candidates))],
        "question": item.question,
        "question_decomposition": steps,
        "answer": plan.answer,
        "answer_aliases": aliases(press.world, plan),
        "answerable": item.removed is None,
    } | _link(press, plan)


def _paragraph(press: Press, item: Item, number: int) -> dict[str, Any]:
    entity = item.candidates[number]
    return {
        "idx": number,
        "title": press.title(entity),
        "paragraph_text": press.text(entity),
        "is_supporting": entity in item.plan.gold,
    }


def _step(press: Press, item: Item, hop: Hop) -> dict[str, Any]:
    keys = [*RELATIONS, AWARDED]
    return {
        "id": hop.entity * 200 + 2 * keys.index(hop.key) + _second_award(press.world, hop),
        "question": press.asker.step(hop),
        "answer": surface(press.world, hop),
        "paragraph_support_idx": _place(press, item, hop),
    }


def _place(press: Press, item: Item, hop: Hop) -> int | None:
    host = press.world.host(hop.entity)
    return item.candidates.index(host) if host != item.removed else None


def _second_award(world: Encyclopaedia, hop: Hop) -> int:
    return int(hop.award is not None and world.receipts[hop.entity][1].award == hop.award)


def two_wiki(press: Press, item: Item) -> dict[str, Any]:
    """2WikiMultihopQA's form; as there, only chains have `evidences_id`, and "Q7" stands for an entity."""
    plan, world = item.plan, press.world
    hops = sorted(plan.hops, key=lambda hop: hop.source is not None)  # the named entities first, as there
    return {
        "_id": _digest(press, item)[:32],
        "type": plan.kind,
        "question": item.question,
        "context": [[press.title(entity), press.prose(entity).sentences] for entity in item.candidates],
        "entity_ids": "_".join(_entity_id(hop.entity) for hop in hops),
        "supporting_facts": [[press.title(hop.entity), press.place(hop)] for hop in hops],
        "evidences": [[world.names[hop.entity], RELATIONS[hop.key].wiki, surface(world, hop)] for hop in hops],
        "answer": plan.answer,
        "evidences_id": [] if plan.options else [_triple_ids(hop) for hop in hops],
        "answer_id": _answer_id(world, plan),
    } | _link(press, plan)


def _answer_id(world: Encyclopaedia, plan: Plan) -> str | None:
    """The entity that is the answer; None for yes, no, years, numbers and words."""
    for entity in plan.options:
        if world.names[entity] == plan.answer:
            return _entity_id(entity)
    last = plan.hops[-1]
    return _entity_id(last.value) if not plan.options and target_is_entity(last) else None


def _triple_ids(hop: Hop) -> list[str]:
    relation = RELATIONS[hop.key]
    value = _entity_id(hop.value) if is_entity(relation.target) else "date_information"
    return [_entity_id(hop.entity), relation.wiki, value]


def _entity_id(entity: int) -> str:
    return f"Q{entity + 1}"


def _support(press: Press, plan: Plan) -> list[list[str | int]]:
    return [[press.title(hop.entity), press.place(hop)] for hop in plan.hops]


def aliases(world: Encyclopaedia, plan: Plan) -> list[str]:
    """Other spellings of a number: without its comma, with its unit."""
    last = plan.hops[-1]
    if plan.options or last.key == AWARDED or RELATIONS[last.key].target != "number":
        return []
    bare = str(last.value)
    unit = UNITS.get(last.key)
    spellings = [bare, f"{plan.answer} {unit}" if unit else bare]
    return [spelling for spelling in dict.fromkeys(spellings) if spelling != plan.answer]


def _digest(press: Press, item: Item) -> str:
    """Hex digits that name a question: of its world, its words and what it needs."""
    config = press.world.config
    shape = () if config.version == 1 else (config.version, config.members, config.facts)
    parts = (config.seed, config.split, config.tier, config.passages, item.question, item.plan.gold, *shape)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
