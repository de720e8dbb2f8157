from __future__ import annotations

import math
import re
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import numpy as np
import pytest

from clara_bench import Answer, BackendError, ConfigError, Fact, IndexStats, Question, Ranked, Usage
from clara_bench.components import cuts
from clara_bench.components.identity import plain
from clara_bench.running.answering import answer_batch, answers, as_recorded
from clara_bench.types import Status

QUESTIONS = [Question("q1", "Who?", ("p1", "p2")), Question("q2", "Where?")]


class Wordless(BaseException):
    """Of no kind that `except Exception` would catch, and without words."""

    def __str__(self) -> str:
        return str(1 // 0)


class Says:
    """A system that gives one value to every question."""

    def __init__(self, value: object) -> None:
        self.value = value

    def index(self, corpus: object) -> IndexStats:
        return IndexStats(0, 0.0, 0)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        return [self.value() if callable(self.value) else self.value for _ in questions]


def raising(error: BaseException) -> Callable[[], Answer]:
    def fail() -> Answer:
        raise error

    return fail


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the system's answer is of type NoneType, expected clara_bench.Answer"),
        ("Oslo", "the system's answer is of type str, expected clara_bench.Answer"),
        (Answer(None), "expected str at $.text"),
        (Answer("x", status="banana"), "invalid enum value 'banana' at $.status"),
        (Answer("x", usage=None), "expected object at $.usage"),
        (Answer("x", usage=Usage(1.5)), "expected int at $.usage.context_positions"),
        (Answer("x", usage=Usage(-1)), "expected int >= 0 at $.usage.context_positions"),
        (Answer("x", usage=Usage(seconds={"read": -0.1})), "expected float >= 0.0 at $.usage.seconds[...]"),
        (Answer("x", usage=Usage(seconds={"read": math.nan})), "expected float >= 0.0 at $.usage.seconds[...]"),
        (Answer("x", retrieved=("p1",)), "expected array at $.retrieved[0], got str"),
        (Answer("x", retrieved="p1"), "expected array | null at $.retrieved, got str"),
        (Answer("x", retrieved=(r for r in ())), "generator is no plain value"),
        (Answer("x", (Ranked("p1", math.inf),)), "expected a finite number at $.retrieved[0][1]"),
        (Answer("x", (Ranked("p3", 1.0),)), "ranks passage 'p3', which is not among the question's candidates"),
        (Answer("x", (Ranked("p1", 1.0),) * 9), "ranks passage 'p1' twice. Expected each once"),
        (Answer("x", (Ranked("p1", 1.0), Ranked("p2", 2.0))), "ranks passage 'p2' with score 2.0 behind 'p1' with 1.0"),
        (Answer(b"Oslo"), "expected str at $.text, got bytes"),
        (Answer(Decimal(3)), "expected str at $.text, got decimal"),
        (Answer("x", usage=Usage(2**60)), "expected int <= 9007199254740992"),
        (Answer("x", support=(Fact("Oslo", -1),)), "expected int >= 0 at $.support[0][1]"),
        (Answer("x", error="no"), "has status 'ok' and an error"),
        (Answer("x", status="empty"), "has status 'empty' and a text"),
        (Answer("x", support="Oslo"), "expected array | null at $.support, got str"),
    ],
    ids=str,
)
def test_an_answer_that_no_record_can_hold_stops_the_run_by_name(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        answer_batch(Says(value), QUESTIONS)
    assert str(caught.value).startswith("question 'q1': ")
    assert message in str(caught.value)


def test_numbers_of_numpy_and_plain_lists_are_taken_as_what_they_are() -> None:
    given = Answer("x", [["p1", np.float32(0.5)]], Usage(np.int64(4)))
    assert answer_batch(Says(given), QUESTIONS[:1]) == [Answer("x", (Ranked("p1", 0.5),), Usage(4))]


def test_where_nothing_is_offered_no_passage_may_be_named() -> None:
    with pytest.raises(ConfigError, match="ranks passage 'p1', which is not among the question's candidates"):
        answer_batch(Says(Answer("x", (Ranked("p1", 1.0),))), [Question("q", "Who?", ())])


@pytest.mark.parametrize("returned", [None, (Answer("x") for _ in "ab"), {"q1": Answer("x")}, Answer("x"), []], ids=str)
def test_anything_but_one_answer_a_question_is_refused(returned: object) -> None:
    system = Says(None)
    system.answer = lambda questions: returned
    with pytest.raises(ConfigError, match="for 2 questions; expected one Answer a question"):
        answer_batch(system, QUESTIONS)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(0), r"SystemExit: 0 \(test_answering.py:\d+\)"),
        (ValueError("two\nlines"), r"ValueError: two lines \(test_answering.py:\d+\)"),
        (ValueError("half a pair \ud800"), r"ValueError: half a pair \\ud800 \(test_answering.py:\d+\)"),
        (KeyError(), r"KeyError \(test_answering.py:\d+\)"),
        (CancelledError(), r"CancelledError \(test_answering.py:\d+\)"),
        (GeneratorExit("done"), r"GeneratorExit: done \(test_answering.py:\d+\)"),
        (Wordless(), r"Wordless: what it says raises ZeroDivisionError \(test_answering.py:\d+\)"),
        (ValueError("x" * 20_000), r"ValueError: x{100,300}\.\.\.x{100,300} \(test_answering.py:\d+\)"),
    ],
    ids=["exit", "lines", "surrogate", "silent", "cancelled", "generator", "wordless", "long"],
)
def test_a_question_fails_with_what_was_raised_and_where(error: BaseException, said: str) -> None:
    for answer in answer_batch(Says(raising(error)), QUESTIONS):
        assert answer.status == "error"
        assert re.fullmatch(said, answer.error or "")


def test_a_text_that_is_no_unicode_fails_its_question_alone() -> None:
    texts = iter(["fine", "half a pair \ud800", "fine", "half a pair \ud800"])
    first, second = answer_batch(Says(lambda: Answer(next(texts))), QUESTIONS)
    assert (first.text, first.status) == ("fine", "ok")
    assert (second.text, second.status) == ("", "error")


@pytest.mark.parametrize("error", [BackendError("the server is gone"), KeyboardInterrupt()], ids=["backend", "ctrl-c"])
def test_a_backend_that_is_gone_and_ctrl_c_end_the_run(error: BaseException) -> None:
    with pytest.raises(type(error)):
        answer_batch(Says(raising(error)), QUESTIONS)


def test_what_a_plugin_says_of_itself_is_plain_and_the_same_in_every_process() -> None:
    assert plain({"b": {"z", "y", "x"}, 1: np.float64(0.5)}) == {"b": ["x", "y", "z"], "1": 0.5}
    with pytest.raises(TypeError, match="object is no plain value"):
        plain({"a": object()})


def test_a_value_of_another_kind_is_named() -> None:
    with pytest.raises(ConfigError, match=r"the value of index\(\) is of type dict, expected clara_bench.IndexStats"):
        as_recorded({"passages": 1}, IndexStats, "the value of index()")


class HandsOver:
    """A system that hands over its answers one by one, the last question's first."""

    def __init__(self, *ends: object) -> None:
        self.ends, self.asked = ends, 0

    def index(self, corpus: object) -> IndexStats:
        return IndexStats(0, 0.0, 0)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        raise AssertionError("it is asked for all answers at once")

    def answer_each(self, questions: Sequence[Question]) -> Iterator[object]:
        self.asked += len(questions)
        yield len(questions) - 1, Answer(questions[-1].id)
        for end in self.ends:
            if isinstance(end, BaseException):
                raise end
            yield end


def test_answers_are_kept_as_they_are_handed_over_and_put_back_in_order() -> None:
    system = HandsOver((0, Answer("q1")))
    assert list(answers(system, QUESTIONS)) == [[(1, Answer("q2"))], [(0, Answer("q1"))]]
    assert [answer.text for answer in answer_batch(HandsOver((0, Answer("q1"))), QUESTIONS)] == ["q1", "q2"]


def test_what_was_handed_over_before_a_failure_is_not_asked_again() -> None:
    system = HandsOver(RuntimeError("half way"))
    found = dict(pair for pairs in answers(system, QUESTIONS) for pair in pairs)
    assert (found[1].text, system.asked) == ("q2", 3)
    assert found[0].text == "q1"  # asked alone, it is the last question
    come = answers(HandsOver(BackendError("the server is gone")), QUESTIONS)
    assert next(come) == [(1, Answer("q2"))]
    with pytest.raises(BackendError):
        next(come)


@pytest.mark.parametrize(
    "entry", [(1, Answer("x")), (2, Answer("x")), (-1, Answer("x")), Answer("x"), ("0", Answer("x"))]
)
def test_a_place_that_is_none_or_was_there_before_is_refused(entry: object) -> None:
    with pytest.raises(ConfigError, match=r"handed over .*, expected the place of one of 2 questions, each once"):
        list(answers(HandsOver(entry), QUESTIONS))


def test_a_question_that_is_left_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="handed over 1 Answers for 2 questions"):
        list(answers(HandsOver(), QUESTIONS))


class Cutting(Says):
    """Says that it has cut what it read for the first question."""

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        cuts.tell("q1")
        return super().answer(questions)


@pytest.mark.parametrize(("status", "becomes"), [("ok", "truncated"), ("empty", "truncated"), ("error", "error")])
def test_what_any_part_has_cut_makes_its_question_truncated_unless_it_failed(status: Status, becomes: Status) -> None:
    given = Answer("x" if status == "ok" else "", status=status)
    assert [answer.status for answer in answer_batch(Cutting(given), QUESTIONS)] == [becomes, status]
