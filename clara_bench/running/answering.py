"""Asking a system, which may be a plug-in: failures are recorded, invalid values refused before they are written."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from clara_bench.components import checks, cuts
from clara_bench.components.identity import number
from clara_bench.components.registry import reason
from clara_bench.errors import BenchError, ConfigError
from clara_bench.io.parsing import reason as said
from clara_bench.records.answer_check import check_answer
from clara_bench.types import Answer, Question, Status, System

T = TypeVar("T")

NOT_JSON = (
    bytes, bytearray, memoryview, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, UUID, Decimal,
)  # fmt: skip
"""Types that msgspec would convert to text silently."""


def answer_batch(system: System, questions: Sequence[Question]) -> list[Answer]:
    """The system's answers in the order asked; see `answers`."""
    return checks.in_order(pair for pairs in answers(system, questions) for pair in pairs)


def answers(system: System, questions: Sequence[Question]) -> Iterator[list[tuple[int, Answer]]]:
    """The system's answers as they come, each with the place of its question: one by one or, by most systems, all.

    When the system fails, each question without an answer is asked alone and fails alone.

    Raises:
        BenchError: from the system, or because it returned something other than one Answer a question.
    """
    waiting, handed = dict(enumerate(questions)), _handed(system, questions)
    cut: set[str] = set()
    while waiting:
        try:
            with cuts.heard() as told:
                pairs = next(handed)
        except (BenchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit included; recorded below, never dropped
            failure = error
            break
        for place, _ in pairs:
            del waiting[place]
        cut |= told
        yield [(place, _marked(answer, questions[place].id in cut)) for place, answer in pairs]
    if len(questions) == 1 and waiting:
        yield [(0, Answer("", status=_failure(failure), error=reason(failure)))]
        return
    for place, question in waiting.items():
        for [(_, answer)] in answers(system, [question]):
            yield [(place, answer)]


def _marked(answer: Answer, cut: bool) -> Answer:
    return replace(answer, status="truncated") if cut and answer.status in ("ok", "empty") else answer


def _handed(system: System, questions: Sequence[Question]) -> Iterator[list[tuple[int, Answer]]]:
    one_by_one = getattr(system, "answer_each", None)
    if one_by_one is None:
        yield list(enumerate(_checked(system.answer(questions), questions)))
        return
    for place, answer in checks.each(one_by_one(questions), questions, "Answer", "the system"):
        yield [(place, _checked_one(answer, questions[place]))]


def _failure(error: BaseException) -> Status:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out-of-memory"
    return "timeout" if isinstance(error, TimeoutError) else "error"


def _checked(answers: Any, questions: Sequence[Question]) -> list[Answer]:
    found = checks.one_each(answers, questions, "Answer", "the system")
    return [_checked_one(answer, question) for question, answer in zip(questions, found, strict=True)]


def _checked_one(answer: Any, question: Question) -> Answer:
    where = f"question '{question.id}': the system's answer"
    found = as_recorded(answer, Answer, where)
    check_answer(found, question, where)
    return found


def as_recorded(value: Any, kind: type[T], what: str) -> T:
    """A value from a plug-in as it will be read from a file: numpy's numbers made plain, lists made tuples.

    Raises:
        ConfigError: `what` is not of that kind, or holds what a file cannot.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{what} is of type {type(value).__name__}, expected clara_bench.{kind.__name__}")
    try:
        found = msgspec.convert(msgspec.to_builtins(value, builtin_types=NOT_JSON, enc_hook=number), kind)
        msgspec.json.encode(found)  # refuses text that is not UTF-8
        return found
    except msgspec.ValidationError as error:
        raise ConfigError(f"{what}: {said(error)}") from error
    except TypeError as error:
        raise ConfigError(f"{what} cannot be written to a file: {error}") from error
