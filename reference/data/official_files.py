"""Rows from the official training files: HotpotQA, 2WikiMultihopQA, MuSiQue, and Natural Questions in DPR's form.

A question has the passages of the file; its supporting passages are the positives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from clara_bench import DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode, decode_lines
from reference.data.row import Row, Turn


class _Paragraph(msgspec.Struct):
    title: str
    paragraph_text: str
    is_supporting: bool


class _Context(msgspec.Struct):
    title: str
    text: str
    isgold: bool = False


class _Official(msgspec.Struct):
    """One question of any of the files: each has its own way to give the passages."""

    question: str
    answer: str | list[str] = []
    answers: list[str] = []
    id: str = ""
    identity: str = msgspec.field(name="_id", default="")
    answerable: bool = True
    context: list[tuple[str, list[str]]] = []
    """HotpotQA and 2WikiMultihopQA: title and sentences."""
    supporting_facts: list[tuple[str, int]] = []
    paragraphs: list[_Paragraph] = []
    """MuSiQue."""
    ctxs: list[_Context] = []
    """Natural Questions."""


def read_official(path: Path) -> Iterator[Row]:
    """The questions of an official file that have passages and an answer among them, as rows for joint training.

    Questions marked as unanswerable (MuSiQue-Full) are left out.

    Args:
        path: a JSON array or JSONL file as published, .gz too.

    Raises:
        DataError: the file cannot be read, is of another form, or a question has no passages.
    """
    for number, question in enumerate(_questions(path), 1):
        if question.answerable:
            yield _row(question, f"{path}, question {number}", f"{path.name}:{number}")


EXPECTED = "Expected a training file of HotpotQA, 2Wiki, MuSiQue or NQ"


def _questions(path: Path) -> list[_Official]:
    data = read_bytes(path, EXPECTED)
    if data.lstrip()[:1] == b"[":
        return decode(data, list[_Official], str(path), EXPECTED)
    return [question for _, question in decode_lines(data.splitlines(), _Official, str(path), EXPECTED)]


def _row(question: _Official, where: str, default: str) -> Row:
    sentences = [(title, " ".join(part.strip() for part in parts)) for title, parts in question.context]
    paragraphs = [(one.title, one.paragraph_text) for one in question.paragraphs]
    contexts = [(one.title, one.text) for one in question.ctxs]
    passages = sentences or paragraphs or contexts
    answers = [question.answer] if isinstance(question.answer, str) else question.answer
    answers = [answer for answer in (*answers, *question.answers) if answer.strip()]
    if not passages or not answers:
        raise DataError(f"{where}: it has no {'answer' if passages else 'passages'}: nothing to train on")
    titles = {title for title, _ in question.supporting_facts}
    gold = [title in titles for title, _ in sentences]
    gold = gold or [one.is_supporting for one in question.paragraphs] or [one.isgold for one in question.ctxs]
    return Row(
        id=question.id or question.identity or default,
        documents=tuple(f"{title}\n{text}" for title, text in passages),
        turns=(Turn(question.question, answers[0]),),
        positives=tuple(place for place, supports in enumerate(gold) if supports),
    )
