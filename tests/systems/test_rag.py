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
    assert answer.retrieved[0].passage_id == "a"
    assert len(answer.retrieved) == 3


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
    assert (answer.text, answer.retrieved, answer.usage.context_positions) == ("", (), 0)


def test_the_backbone_on_the_leaderboard_is_the_readers_model(parts: str) -> None:
    assert rag(parts).traits.backbone == "quoter"


def test_k_below_one_is_refused(parts: str) -> None:
    with pytest.raises(ConfigError, match="k and depth must be at least 1, got k=0"):
        rag(parts, k="0")
