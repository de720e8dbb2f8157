"""The preprocessed format of StonyBrookNLP/ircot, used for all four data sets.

Gold is by paragraph, without sentence indices. Every span of every answer object is an accepted
answer, for copies of this form put a question's references in either place.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from clara_bench.datasets.base import Aliases, Layout, PassagePool, join_kind, paired, unique
from clara_bench.types import Example, Gold, Question

_HOPS = {"nq": 1, "hotpotqa": 2}
"""Hops that the data set fixes; elsewhere it is the number of supporting passages."""


class Paragraph(Struct):
    """One context paragraph."""

    title: str
    paragraph_text: str
    is_supporting: bool


class AnswerObject(Struct):
    """DROP's form of an answer, of which only the spans are used."""

    spans: list[str]


class Row(Struct):
    """One question."""

    question_id: str
    question_text: str
    answers_objects: list[AnswerObject]
    contexts: list[Paragraph]
    type: str | None = None


def layout(reader: str) -> Layout:
    """The processed form, read as one of the four data sets."""
    hops = _HOPS.get(reader)

    def example(row: Row, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
        supporting = paired(ids, (paragraph.is_supporting for paragraph in row.contexts))
        answers = unique(span for answer in row.answers_objects for span in answer.spans)
        gold = Gold(answers, supporting, hops=hops or len(supporting) or None, kind=join_kind(row.type, None))
        return Example(Question(row.question_id, row.question_text, unique(ids)), gold)

    return Layout(frozenset({"question_id", "question_text", "contexts"}), Row, _passages, example)


def _passages(row: Row, pool: PassagePool) -> list[str]:
    return [pool.add(paragraph.title, paragraph.paragraph_text) for paragraph in row.contexts]
