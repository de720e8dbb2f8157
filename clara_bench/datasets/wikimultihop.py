"""2WikiMultihopQA: the official files, the hub's columns, questions without context, and HippoRAG's thousand.

Sentences carry no leading blank and are joined with one. Answers and evidence triples take the
spellings of the alias table, by Wikidata id, as the official scorer v1.1 does (Alab-NII/2wikimultihop).
A file may list a passage twice in one context; it is a candidate once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from msgspec import Struct, field

from clara_bench.datasets.base import Aliases, Layout, PassagePool, join_kind, unique
from clara_bench.datasets.hotpotqa import Context, Facts, by_title, facts, paragraphs
from clara_bench.types import Example, Gold, Question, Triple


class Evidence(Struct):
    """One triple, as some hub copies have it."""

    fact: str
    relation: str
    entity: str


class Evidences(Struct):
    """Triples by columns, as other hub copies have them."""

    fact: list[str]
    relation: list[str]
    entity: list[str]

    def __post_init__(self) -> None:
        if not len(self.fact) == len(self.relation) == len(self.entity):
            raise ValueError("columns of evidences differ in length")


class Row(Struct):
    """One question; `_id` in the official files is `id` on the hub; `context` is absent in questions-only files."""

    question: str
    answer: str
    supporting_facts: list[tuple[str, int]] | Facts
    evidences: list[tuple[str, str, str] | Evidence] | Evidences = []
    evidences_id: list[tuple[str, str, str]] = []
    answer_id: str | None = None
    context: list[tuple[str, list[str]]] | Context = []
    official_id: str | None = field(name="_id", default=None)
    id: str | None = None
    type: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        if not (self.official_id or self.id):
            raise ValueError("missing required field _id")
        if self.evidences_id and len(self.evidences_id) != len(triples(self)):
            raise ValueError(f"{len(self.evidences_id)} evidences_id for {len(triples(self))} evidences")


class OpenRow(Struct):
    """HippoRAG's open-retrieval set: gold by title, aliases in the row."""

    id: str = field(name="_id")
    question: str
    answer: str
    supporting_titles: list[str]
    answer_aliases: list[str] = []


def triples(row: Row) -> list[Triple]:
    """The evidence of a row, from any of its forms."""
    if isinstance(row.evidences, Evidences):
        columns = row.evidences
        return [Triple(*parts) for parts in zip(columns.fact, columns.relation, columns.entity, strict=True)]
    return [
        Triple(evidence.fact, evidence.relation, evidence.entity)
        if isinstance(evidence, Evidence)
        else Triple(*evidence)
        for evidence in row.evidences
    ]


def _passages(row: Row, pool: PassagePool) -> list[str]:
    return [pool.add(title, " ".join(sentences)) for title, sentences in paragraphs(row.context)]


def _example(row: Row, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    supporting = facts(row.supporting_facts)
    own_titles = [title for title, _ in paragraphs(row.context)]
    passages = by_title([fact.title for fact in supporting], own_titles, ids, pool)
    gold = Gold(
        answers=_spellings(row.answer, row.answer_id, aliases),
        supporting=passages,
        facts=supporting,
        hops=len(passages) or len(triples(row)) or None,  # some comparisons list three triples for two passages
        kind=join_kind(row.type, row.link),
        evidences=tuple(_evidences(row, aliases)),
    )
    return Example(Question(row.official_id or row.id or "", row.question, unique(ids)), gold)


def _evidences(row: Row, aliases: Aliases) -> Iterable[tuple[Triple, ...]]:
    steps = triples(row)
    ids = row.evidences_id or [("", "", "")] * len(steps)
    for step, (subject_id, _, object_id) in zip(steps, ids, strict=True):
        subjects = _spellings(step.subject, subject_id, aliases)
        objects = _spellings(step.object, object_id, aliases)
        yield tuple(Triple(subject, step.relation, object_) for subject, object_ in product(subjects, objects))


def _spellings(text: str, id: str | None, aliases: Aliases) -> tuple[str, ...]:
    return unique((text, *aliases.get(id or "", ())))


def _no_passages(row: OpenRow, pool: PassagePool) -> list[str]:
    return []


def _open_example(row: OpenRow, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    supporting = frozenset(pool.titled(title) for title in row.supporting_titles)
    gold = Gold(unique((row.answer, *row.answer_aliases)), supporting, hops=len(supporting) or None)
    return Example(Question(row.id, row.question), gold)


LAYOUTS = (
    Layout(frozenset({"question", "answer", "supporting_titles"}), OpenRow, _no_passages, _open_example),
    Layout(frozenset({"question", "answer", "supporting_facts"}), Row, _passages, _example),
)
