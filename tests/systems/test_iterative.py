"""Iterative retrieval with parts small enough to check by hand: one that quotes titles, one the last line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from clara_bench import Component, ConfigError, Passage, Question, create
from clara_bench.components.registry import effective_options
from clara_bench.systems.iterative import Iterative

PARTS = '''\
from clara_bench import Reading, Usage


class Quoter:
    """Says how many texts it was given and their titles."""

    def describe(self):
        return {"model": "models/quoter"}

    def context_tokens(self, contexts):
        return [sum(len(text.split()) for text in context) for context in contexts]

    def read(self, questions, contexts):
        texts = [", ".join(text.splitlines()[0] for text in context) for context in contexts]
        return [Reading(text, Usage(7, 7, 10, 2, {"prefill": 1.0})) for text in texts]


class Thinker(Quoter):
    """Says the last sentence that it was given."""

    def read(self, questions, contexts):
        texts = [context[-1].splitlines()[-1] if context else "" for context in contexts]
        return [Reading(text, Usage(5, 5, 8, 3, {"prefill": 0.5})) for text in texts]


class Lost(Quoter):
    def read(self, questions, contexts):
        return [Reading("", Usage(), "transport", "the server is gone") for _ in questions]


class Short(Thinker):
    def read(self, questions, contexts):
        return [Reading(one.text, one.usage, "truncated") for one in super().read(questions, contexts)]


class Silent(Quoter):
    def read(self, questions, contexts):
        return [Reading("", Usage()) for _ in questions]
'''

CORPUS: Mapping[str, Passage] = {
    "film": Passage("film", "The Red Kite", "It was directed by Ann Lee."),
    "ann": Passage("ann", "Ann Lee", "She was born in Oslo."),
    "oslo": Passage("oslo", "Oslo", "The mayor of the city is Bo Fox."),
    "other": Passage("other", "The Blue Kite", "A film about the wind."),
}
ASKED = Question("q1", "Who is the mayor of the birthplace of the director of The Red Kite?")


@pytest.fixture
def parts(tmp_path: Path) -> str:
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    return str(tmp_path / "parts.py")


def iterative(parts: str, thinker: str = "Thinker", **options: str) -> Iterative:
    given = {"reader": f"{parts}:Quoter", "thinker": f"{parts}:{thinker}", **options}
    system: Iterative = create("system", Component("iterative", given))
    system.index(CORPUS)
    return system


def test_what_a_passage_tells_finds_the_next_one(parts: str) -> None:
    [once] = iterative(parts, rounds="1", k="1").answer([ASKED])
    [thrice] = iterative(parts, rounds="3", k="3").answer([ASKED])
    assert once.text == "The Red Kite"
    assert thrice.text == "The Red Kite, Ann Lee, Oslo"
    assert [ranked.passage_id for ranked in thrice.retrieved] == ["film", "ann", "oslo", "other"]


def test_one_round_is_plain_retrieval(parts: str) -> None:
    [answer] = iterative(parts, rounds="1", k="2", depth="3").answer([ASKED])
    rag = create("system", Component("rag", {"reader": f"{parts}:Quoter", "k": "2", "depth": "3"}))
    rag.index(CORPUS)
    [plain] = rag.answer([ASKED])
    assert answer.text == plain.text
    assert [one.passage_id for one in answer.retrieved] == [one.passage_id for one in plain.retrieved]


def test_the_steps_are_paid_for_and_only_the_last_reading_is_the_context(parts: str) -> None:
    [answer] = iterative(parts, rounds="3", k="3").answer([ASKED])
    assert (answer.usage.context_positions, answer.usage.context_text_tokens) == (7, 7)
    assert (answer.usage.prompt_tokens, answer.usage.generated_tokens) == (10 + 2 * 8, 2 + 2 * 3)
    assert answer.usage.seconds["prefill"] == 1.0 + 2 * 0.5 and answer.usage.seconds["retrieve"] > 0


def test_where_nothing_is_said_the_question_is_asked_again(parts: str) -> None:
    [answer] = iterative(parts, "Silent", rounds="2", k="2").answer([ASKED])
    [plain] = iterative(parts, rounds="1", k="2").answer([ASKED])
    assert [one.passage_id for one in answer.retrieved] == [one.passage_id for one in plain.retrieved]


def test_no_passage_is_read_twice_and_candidates_bound_every_round(parts: str) -> None:
    asked = Question("q", ASKED.text, candidates=("film", "ann"))
    [answer] = iterative(parts, rounds="3", k="5").answer([asked])
    assert [one.passage_id for one in answer.retrieved] == ["film", "ann"]


@pytest.mark.filterwarnings("ignore:retriever 'bm25'")
def test_where_nothing_is_found_the_question_is_read_alone(parts: str) -> None:
    for question in (Question("q", "zebra"), Question("q", ASKED.text, candidates=())):
        [answer] = iterative(parts, rounds="3", k="5").answer([question])
        assert (answer.text, answer.retrieved) == ("", ())


def test_a_question_keeps_its_answer_whatever_is_asked_beside_it(parts: str) -> None:
    other = Question("q2", "Where was Ann Lee born?")
    system = iterative(parts, rounds="2", k="2")
    together = [answer.text for answer in system.answer([ASKED, other])]
    assert together == [system.answer([one])[0].text for one in (ASKED, other)]


def test_the_thinkers_own_options_are_in_the_record_of_a_run(parts: str) -> None:
    given = {"reader": f"{parts}:Quoter", "thinker": "hf", "thinker.prompt": "step"}
    options = effective_options("system", Component("iterative", given))
    assert options["thinker"]["options"]["prompt"] == "step" and options["rounds"] == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [({"rounds": "0"}, "rounds must be at least 1"), ({"rounds": "4", "k": "3"}, "k must be at least")],
)
def test_rounds_that_cannot_be_made_are_refused(parts: str, options: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        iterative(parts, **options)


def test_a_step_that_failed_fails_the_question(parts: str) -> None:
    [answer] = iterative(parts, thinker="Lost").answer([ASKED])
    assert (answer.text, answer.status, answer.error) == ("", "transport", "the server is gone")


def test_a_step_that_was_cut_makes_the_question_truncated(parts: str) -> None:
    whole, cut = (iterative(parts, thinker=thinker).answer([ASKED])[0] for thinker in ("Thinker", "Short"))
    assert (whole.status, cut.status, cut.text) == ("ok", "truncated", whole.text)
