"""Text RAG end to end with parts small enough to check by hand: a reader that quotes, a compressor that cuts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from clara_bench import Component, ConfigError, Passage, Question, create
from clara_bench.systems.rag import Rag
from clara_bench.types import System

PARTS = '''\
"""A reader that quotes the first line it is given, one token a word; a compressor that keeps a few words."""

from dataclasses import dataclass

from clara_bench import Reading, Usage


class Quoter:
    def describe(self):
        return {"model": "models/quoter"}

    def context_tokens(self, contexts):
        return [sum(len(text.split()) for text in context) for context in contexts]

    def read(self, questions, contexts):
        tokens = self.context_tokens(contexts)
        texts = [context[0].splitlines()[0] if context else "" for context in contexts]
        return [Reading(t, Usage(n, n, n + 5, 1, {"decode": 0.5})) for t, n in zip(texts, tokens, strict=True)]


class Cutter:
    query_dependent = False
    rate_is_input = True
    may_be_empty = True

    @dataclass(frozen=True)
    class Options:
        words: int = 3

    weights = "official, unverified"

    def __init__(self, options):
        self.words = options.words
        self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def compress(self, question, passages):
        return " ".join(" ".join(p.text for p in passages).split()[: self.words])
'''

CORPUS: Mapping[str, Passage] = {
    "a": Passage("a", "Oslo", "Oslo is the capital of Norway."),
    "b": Passage("b", "Rome", "Rome is the capital of Italy."),
    "c": Passage("c", "", "Untitled words about rivers."),
}
NORWAY = Question("q1", "What is the capital of Norway?")


@pytest.fixture
def parts(tmp_path: Path) -> str:
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    return str(tmp_path / "parts.py")


def rag(parts: str, **options: str) -> Rag:
    given = {"reader": f"{parts}:Quoter", **{key.replace("__", "."): value for key, value in options.items()}}
    system: Rag = create("system", Component("rag", given))
    system.index(CORPUS)
    return system


def test_the_reader_gets_the_best_k_with_their_titles(parts: str) -> None:
    [answer] = rag(parts, k="1").answer([NORWAY])
    assert answer.text == "Oslo"
    assert answer.usage.context_positions == 7
    assert answer.usage.context_text_tokens == 7


def test_ranks_are_recorded_beyond_what_is_read(parts: str) -> None:
    [answer] = rag(parts, k="1", depth="3").answer([NORWAY])
    assert answer.text == "Oslo"
    assert [ranked.passage_id for ranked in answer.retrieved] == ["a", "b"], "nothing else shares a word"


@pytest.mark.filterwarnings("ignore:retriever 'bm25'")
@pytest.mark.parametrize(
    "question", [Question("q", "zebra"), Question("q", NORWAY.text, candidates=())], ids=["no match", "no candidate"]
)
@pytest.mark.parametrize("compressor", [{}, {"compressor": "Cutter"}], ids=["whole", "shortened"])
def test_where_nothing_is_found_the_question_is_read_alone(
    parts: str, question: Question, compressor: dict[str, str]
) -> None:
    given = {key: f"{parts}:{name}" for key, name in compressor.items()}
    [answer] = rag(parts, **given).answer([question])
    assert (answer.text, answer.retrieved, answer.status) == ("", (), "ok")
    assert (answer.usage.context_positions, answer.usage.context_text_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("[[Ranked('a', 1.0), Ranked('a', 0.5)]]", "ranks passage 'a' twice"),
        ("[[Ranked('a', 1.0), Ranked('b', 2.0)]]", "ranks passage 'b' with score 2.0 behind 'a' with 1.0"),
        ("[[Ranked('z', 1.0)]]", "ranks passage 'z', which is not in the corpus"),
        ("[['a', 'b']]", "ranks 'a', expected a passage id and a finite score"),
        ("[[Ranked('a', float('nan'))]]", r"ranks Ranked\(passage_id='a', score=nan\), expected"),
        ("['ab']", "returned a ranking of type str"),
        ("[]", "returned 0 rankings for 1 questions; expected one ranking a question"),
        ("None", "returned NoneType for 1 questions"),
    ],
)
def test_a_retriever_that_returns_what_no_ranking_is_stops_the_run(
    tmp_path: Path, parts: str, said: str, message: str
) -> None:
    system = rag(parts, retriever=retriever(tmp_path, said))
    with pytest.raises(ConfigError, match=f"retriever '.*found.py:Found' {message}"):
        system.answer([NORWAY])


def test_a_retriever_that_returns_more_than_it_was_asked_for_is_cut(tmp_path: Path, parts: str) -> None:
    said = "[[Ranked('b', 3.0), Ranked('a', 2.0), Ranked('c', 1.0)]]"
    [answer] = rag(parts, retriever=retriever(tmp_path, said), k="1", depth="2").answer([NORWAY])
    assert [ranked.passage_id for ranked in answer.retrieved] == ["b", "a"]


def retriever(tmp_path: Path, said: str) -> str:
    """A file plug-in that returns the same to whatever it is asked."""
    code = "from clara_bench import IndexStats, Ranked\n\n\nclass Found:\n"
    code += "    def index(self, corpus):\n        return IndexStats(len(corpus), 0.0, 0)\n\n"
    code += f"    def retrieve(self, questions, k):\n        return {said}\n"
    (tmp_path / "found.py").write_text(code, encoding="utf-8")
    return f"{tmp_path / 'found.py'}:Found"


@pytest.mark.parametrize("said", ["b'Oslo'", "[b'Oslo']", "None", "[1]"])
def test_a_compressor_that_returns_no_text_stops_the_run(tmp_path: Path, parts: str, said: str) -> None:
    code = (
        f"class Bad:\n    query_dependent = False\n    def compress(self, question, passages):\n        return {said}\n"
    )
    (tmp_path / "bad.py").write_text(code, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"compressor '.*bad.py:Bad' returned .*, expected a str or a list of them"):
        rag(parts, compressor=f"{tmp_path / 'bad.py'}:Bad").answer([NORWAY])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("['Oslo']", "returned 'Oslo', expected a Reading"),
        ("[Reading(b'Oslo', Usage())]", r"returned Reading\(text=b'Oslo'.*, expected a Reading"),
        ("[Reading('Oslo', None)]", r"returned Reading\(text='Oslo', usage=None.*, expected a Reading"),
        ("[]", "returned 0 Readings for 1"),
    ],
)
def test_a_reader_that_returns_no_reading_stops_the_run(tmp_path: Path, said: str, message: str) -> None:
    code = "from clara_bench import Reading, Usage\n\n\nclass Bad:\n"
    code += f"    def read(self, questions, contexts):\n        return {said}\n"
    (tmp_path / "bad.py").write_text(code, encoding="utf-8")
    for name in ("rag", "closed-book"):
        system: System = create("system", Component(name, {"reader": f"{tmp_path / 'bad.py'}:Bad"}))
        system.index(CORPUS)
        with pytest.raises(ConfigError, match=f"reader '.*bad.py:Bad' {message}"):
            system.answer([NORWAY])


def test_every_phase_has_its_seconds(parts: str) -> None:
    [answer] = rag(parts).answer([NORWAY])
    assert set(answer.usage.seconds) == {"retrieve", "compress", "decode"}
    assert answer.usage.seconds["decode"] == 0.5


def test_a_compressor_shortens_and_the_uncompressed_tokens_are_counted(parts: str) -> None:
    system = rag(parts, k="2", compressor=f"{parts}:Cutter", compressor__words="2")
    [answer] = system.answer([NORWAY])
    assert answer.text == "Oslo is"
    assert answer.usage.context_positions == 2
    assert answer.usage.context_text_tokens == 14
    assert system.traits.offline is True
    assert "words=2" in system.traits.compressor


def test_a_compressor_loads_before_any_question_and_says_whose_its_weights_are(parts: str) -> None:
    system = rag(parts, compressor=f"{parts}:Cutter")
    assert system.compressor.prepared == 1
    assert system.traits.weights == "official, unverified"
    assert rag(parts).traits.weights == "zero-shot"


def test_a_compressor_without_weights_shows_none_and_a_plug_in_s_folders_are_not_shown(parts: str) -> None:
    assert rag(parts, compressor="truncate").traits.weights == ""
    assert rag(parts, compressor=f"{parts}:Cutter", compressor__words="2").traits.compressor == "parts-Cutter[words=2]"


def test_an_empty_compression_leaves_no_context(parts: str) -> None:
    [answer] = rag(parts, compressor=f"{parts}:Cutter", compressor__words="0").answer([NORWAY])
    assert answer.text == ""
    assert answer.usage.context_positions == 0


def test_candidates_bound_what_may_be_read(parts: str) -> None:
    [answer] = rag(parts).answer([Question("q1", NORWAY.text, candidates=("b",))])
    assert [ranked.passage_id for ranked in answer.retrieved] == ["b"]


def test_a_passage_without_a_title_is_its_text(parts: str) -> None:
    [answer] = rag(parts, k="1").answer([Question("q", "rivers")])
    assert answer.text == "Untitled words about rivers."


def test_closed_book_reads_nothing(parts: str) -> None:
    system: System = create("system", Component("closed-book", {"reader": f"{parts}:Quoter"}))
    assert system.index(CORPUS).passages == 0
    [answer] = system.answer([NORWAY])
    assert (answer.text, answer.retrieved, answer.usage.context_positions) == ("", None, 0)


def test_the_backbone_on_the_leaderboard_is_the_readers_model(parts: str) -> None:
    assert rag(parts).traits.backbone == "quoter"


def test_k_below_one_is_refused(parts: str) -> None:
    with pytest.raises(ConfigError, match="k and depth must be at least 1, got k=0"):
        rag(parts, k="0")


@pytest.mark.parametrize("said", ["[1.5]", "[-1]", "['7']", "[1, 2]", "None"])
def test_a_reader_that_counts_no_tokens_stops_the_run(tmp_path: Path, parts: str, said: str) -> None:
    code = f"{PARTS}\n\nclass Miscounting(Quoter):\n    def context_tokens(self, contexts):\n        return {said}\n\n"
    code = code.replace("tokens = self.context_tokens(contexts)", "tokens = [1 for _ in contexts]")
    (tmp_path / "miscounting.py").write_text(code, encoding="utf-8")
    given = {"reader": f"{tmp_path / 'miscounting.py'}:Miscounting", "compressor": f"{parts}:Cutter"}
    system: System = create("system", Component("rag", given))
    system.index(CORPUS)
    with pytest.raises(ConfigError, match=r"reader '.*miscounting.py:Miscounting' (counts|returned)"):
        system.answer([NORWAY])


@pytest.mark.parametrize("compressor", ["truncate", "random-drop"])
@pytest.mark.parametrize("tokens", [2, 5, 9, 100])
def test_a_budget_in_tokens_is_kept_as_the_reader_counts_them(parts: str, compressor: str, tokens: int) -> None:
    system = rag(parts, k="2", compressor=compressor, compressor__tokens=str(tokens))
    [answer] = system.answer([NORWAY])
    whole = answer.usage.context_text_tokens
    assert whole == 14
    assert min(whole, tokens) // 2 <= answer.usage.context_positions <= tokens
    assert tokens < whole or answer.usage.context_positions == whole
    assert system.traits.nominal_ratio is None


def test_a_budget_that_no_rate_keeps_to_is_said_and_one_below_a_token_refused(parts: str) -> None:
    with pytest.raises(ValueError, match=r"question 'q1': compressor 'truncate.* leaves 2 tokens .* where 1 may stay"):
        rag(parts, k="2", compressor="truncate", compressor__tokens="1").answer([NORWAY])
    with pytest.raises(ConfigError, match="tokens must be at least 1, got 0"):
        rag(parts, compressor="truncate", compressor__tokens="0")
