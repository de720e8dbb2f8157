"""MuSiQue: Ans and Full files, and the two forms without paragraphs.

The prefix of the id tells the number of hops and the shape of the question ("3hop1__..."). In
MuSiQue-Full each question comes twice under one id, once with some of its support taken away; that
copy gets "#unanswerable" at the end of its id, for ids name records here. The gold of an
unanswerable question is the support that is left. Without paragraphs the gold is what the steps
name: a corpus id, or a document that is in no file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from clara_bench.datasets.base import MISSING, UNANSWERABLE, Aliases, Layout, PassagePool, join_kind, paired, unique
from clara_bench.types import Example, Gold, Question

_SHAPE = re.compile(r"(?P<shape>(?P<hops>\d)hop\d*)__")


class Paragraph(Struct):
    """One of the (nearly always 20) paragraphs of a question."""

    title: str
    paragraph_text: str
    is_supporting: bool
    idx: int | None = None


class Step(Struct):
    """One question of the decomposition."""

    question: str
    answer: str
    paragraph_support_idx: int | None = None
    document_id: str | None = None
    corpus_id: str | None = None


class Row(Struct):
    """One question, with its decomposition."""

    id: str
    question: str
    answer: str
    question_decomposition: list[Step]
    paragraphs: list[Paragraph] = []
    answer_aliases: list[str] = []
    answerable: bool = True
    link: str | None = None


def _passages(row: Row, pool: PassagePool) -> list[str]:
    return [pool.add(paragraph.title, paragraph.paragraph_text) for paragraph in row.paragraphs]


def _numbers(row: Row) -> list[int]:
    return [place if paragraph.idx is None else paragraph.idx for place, paragraph in enumerate(row.paragraphs)]


def _example(row: Row, ids: Sequence[str], pool: PassagePool, aliases: Aliases) -> Example:
    named = _SHAPE.match(row.id)
    if row.paragraphs:
        supporting = paired(ids, (paragraph.is_supporting for paragraph in row.paragraphs))
    else:
        supporting = frozenset(_named_gold(row, number, pool) for number in range(len(row.question_decomposition)))
    gold = Gold(
        answers=unique((row.answer, *row.answer_aliases)),
        supporting=supporting,
        hops=int(named["hops"]) if named else len(row.question_decomposition) or None,
        kind=join_kind(named["shape"] if named else None, row.link),
        answerable=row.answerable,
    )
    return Example(Question(row.id, row.question, unique(ids)), gold)


def _named_gold(row: Row, number: int, pool: PassagePool) -> str:
    step = row.question_decomposition[number]
    if step.corpus_id:
        return pool.identified(step.corpus_id)
    return MISSING + (step.document_id or f"{row.id}/{number}")


def _steps(row: Row, ids: Sequence[str]) -> list[str]:
    own = dict(zip(_numbers(row), ids, strict=True))
    numbers = (step.paragraph_support_idx for step in row.question_decomposition)
    return [own[number] for number in numbers if number is not None and number in own]


def _tell_pairs_apart(rows: list[Row]) -> list[Row]:
    answerable = {row.id for row in rows if row.answerable}
    for row in rows:
        if not row.answerable and row.id in answerable:
            row.id += UNANSWERABLE
    return rows


LAYOUTS = (
    Layout(
        frozenset({"id", "question", "answer", "question_decomposition"}),
        Row,
        _passages,
        _example,
        _tell_pairs_apart,
        numbers=_numbers,
        steps=_steps,
    ),
)
