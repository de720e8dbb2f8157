"""A task of your own: rows with a question and optionally id, answers and passages.

    {"id": "1", "question": "Who wrote Emma?", "answers": ["Jane Austen"],
     "passages": [{"title": "Emma", "text": "Emma is a novel by Jane Austen.", "supporting": true}]}

A question without id gets one derived from its text. A question without answers is asked but not scored. With a corpus
file, gold passages may instead be named by its ids: `"supporting": ["12", "40"]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from clara_bench.datasets.base import Aliases, Layout, PassagePool, paired, question_id, unique
from clara_bench.types import Example, Gold, Question


class RowPassage(Struct, forbid_unknown_fields=True):
    """A candidate passage."""

    text: str
    title: str = ""
    id: str | None = None
    supporting: bool = False


class Row(Struct, forbid_unknown_fields=True):
    """One question; what else there is to say of it goes under `meta`, so that a mistyped key is not lost."""

    question: str
    id: str | None = None
    answers: list[str] = []
    answer: str | None = None
    """An answer, where there is one only."""
    passages: list[RowPassage] = []
    supporting: list[str] = []
    hops: int | None = None
    kind: str | None = None
    meta: Any = None
    """Left unread."""


def _passages(row: Row, pool: PassagePool) -> list[str]:
    return [pool.add(passage.title, passage.text, passage.id) for passage in row.passages]


def _example(row: Row, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    marked = paired(ids, (passage.supporting for passage in row.passages))
    named = frozenset(pool.identified(id) for id in row.supporting)
    answers = unique([*row.answers, *(() if row.answer is None else (row.answer,))])
    gold = Gold(answers, marked | named, hops=row.hops, kind=row.kind)
    id = question_id("q", row.question) if row.id is None else row.id
    return Example(Question(id, row.question, unique(ids)), gold)


LAYOUTS = (Layout(frozenset({"question"}), Row, _passages, _example, answers_may_be_missing=True),)
