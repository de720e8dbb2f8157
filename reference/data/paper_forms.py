"""The paper's JSONL forms of training rows.

A file holds the rows of one stage, one per line (clara's dataset card and loader):

    pretrain    data_type "qa" or "paraphrase", question: [..], answers: [..] (as many), docs: [one]
    instruct    question, answer, docs: [..]
    joint       the same, docs being the candidates, and pos_index: [positions of the supporting ones]

Lines may carry two keys of ours: `id`, and `chain` (see `Turn.chain`; a list in pretraining files). Instruction files
may say `pos_index` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from reference.data.row import Kind, Row, Turn


class _Pretrain(msgspec.Struct, omit_defaults=True):
    data_type: Kind | None = None  # missing means qa
    question: list[str] = []
    answers: list[str] = []
    docs: list[str] = []
    chain: list[str] = []
    id: str = ""


class _Single(msgspec.Struct, omit_defaults=True):
    question: str
    docs: list[str] = []
    answer: str | None = None
    pos_index: list[int] = []
    chain: str = ""
    id: str = ""
    # read where `docs` or `answer` is missing, in this order, as the released loader does
    context: list[str] = []
    content: list[str] = []
    answers: list[str] = []
    golden_answers: list[str] = []
    gold_answer: str | list[str] = []


class Form(NamedTuple):
    """How one kind of file holds rows."""

    line: type[Any]
    row: Callable[[Any, str], Row]
    """A checked row from a line and the id it gets if it has none; ValueError says what is wrong with it."""
    lines: Callable[[Row], Iterator[Any]]


def _pretrain_row(line: _Pretrain, default: str) -> Row:
    questions, answers = line.question, line.answers
    if line.data_type == "paraphrase":
        questions, answers = [""], answers[:1]
    _expect(len(answers) > 0, "`answers` is empty, expected one at least")
    _expect(len(questions) == len(answers), f"{len(questions)} in `question`, {len(answers)} in `answers`")
    _expect(len(line.chain) in (0, len(answers)), f"{len(line.chain)} in `chain`, {len(answers)} in `answers`")
    _expect(len(line.docs) == 1, f"`docs` holds {len(line.docs)}, expected one")
    chains = line.chain or [""] * len(answers)
    turns = tuple(Turn(*turn) for turn in zip(questions, answers, chains, strict=True))
    return _sound(Row(line.id or default, tuple(line.docs), turns, line.data_type or "qa"))


def _single_row(line: _Single, default: str) -> Row:
    documents = line.docs or line.context or line.content
    _expect(len(documents) > 0, "no `docs`, expected one at least")
    found, last = line.pos_index, len(documents) - 1
    _expect(all(0 <= place <= last for place in found), f"`pos_index` is {found}, expected 0 to {last}")
    _expect(len(set(found)) == len(found), f"`pos_index` is {found}, expected no place twice")
    turn = Turn(line.question, _answer(line), line.chain)
    return _sound(Row(line.id or default, tuple(documents), (turn,), positives=tuple(found)))


def _answer(line: _Single) -> str:
    if line.answer is not None:
        return line.answer
    gold = [line.gold_answer] if isinstance(line.gold_answer, str) else line.gold_answer
    found = [*line.answers, *line.golden_answers, *gold]
    _expect(len(found) > 0, "no `answer`")
    return found[0]


def _sound(row: Row) -> Row:
    _expect(all(document.strip() for document in row.documents), "an empty document")
    _expect(all(turn.answer.strip() for turn in row.turns), "an empty answer")
    _expect(row.kind == "paraphrase" or all(turn.question.strip() for turn in row.turns), "an empty question")
    return row


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _pretrain_lines(row: Row) -> Iterator[_Pretrain]:
    questions, answers, chains = zip(*((turn.question, turn.answer, turn.chain) for turn in row.turns), strict=True)
    kept = list(chains) if any(chains) else []
    yield _Pretrain(row.kind, list(questions), list(answers), list(row.documents), kept, row.id)


def _single_lines(row: Row) -> Iterator[_Single]:
    for turn in row.turns:
        yield _Single(turn.question, list(row.documents), turn.answer, list(row.positives), turn.chain, row.id)


FORMS: dict[str, Form] = {
    "pretrain": Form(_Pretrain, _pretrain_row, _pretrain_lines),
    "instruct": Form(_Single, _single_row, _single_lines),
    "joint": Form(_Single, _single_row, _single_lines),
}
