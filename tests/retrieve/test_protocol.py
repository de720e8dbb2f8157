"""What every registered retriever promises, ours and whatever else is installed in this environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from clara_bench.components.registry import Component, create, discover
from clara_bench.errors import BenchError, ConfigError, DataError
from clara_bench.retrieve.runfile import write_run
from clara_bench.types import Passage, Question, Ranked, Retriever

Corpus = dict[str, Passage]
pytestmark = pytest.mark.filterwarnings("ignore:retriever 'bm25'")  # some questions match nothing, which it tells

QUESTIONS = (
    Question("norway", "Which composer was born in Bergen?"),
    Question("empty", ""),
    Question("hitless", "zyzzyva quokka"),
    Question("long", "the dance of the honey bee " * 60),
)
WORDS = {"norway": 2, "empty": 0, "hitless": 0, "long": 2}
"""Passages that share a word with each question."""
MATCHES: dict[str, dict[str, int]] = {
    "bm25": WORDS,
    "rerank": WORDS,
    "run-file": {question.id: 2 for question in QUESTIONS},
    "dense": {},
    "hybrid": {},
}
"""Where less than the whole corpus can be ranked."""
NAMES = ("bm25", "dense", "given", "hybrid", "rerank", "run-file")
SEARCHING = tuple(name for name in NAMES if name != "given")


def test_every_registered_retriever_is_tested_here() -> None:
    assert set(NAMES) == set(discover("retriever"))


@pytest.fixture
def build(
    tmp_path: Path, encoder_folder: Path, cross_encoder_folder: Path, corpus: Corpus, request: pytest.FixtureRequest
) -> object:
    path = tmp_path / "run.trec"
    write_run(path, {q.id: (Ranked("grieg", 2.0), Ranked("oslo", 1.0)) for q in QUESTIONS}, "stored")
    options = {
        "dense": {"model": str(encoder_folder), "device": "cpu"},
        "hybrid": {"second.model": str(encoder_folder), "second.device": "cpu"},
        "rerank": {"model": str(cross_encoder_folder), "device": "cpu"},
        "run-file": {"path": str(path)},
    }

    def _build(name: str) -> Retriever:
        retriever: Retriever = create("retriever", Component(name, options.get(name, {})))
        assert retriever.index(corpus).passages == len(corpus)
        return retriever

    return _build


@pytest.mark.parametrize("name", SEARCHING)
@pytest.mark.parametrize("k", [1, 5, 13, 200])
def test_every_question_gets_what_matches_at_most_k_and_the_best_first(
    name: str, k: int, build: object, corpus: Corpus
) -> None:
    retriever = build(name)  # type: ignore[operator]
    for question, ranking in zip(QUESTIONS, retriever.retrieve(QUESTIONS, k), strict=True):
        ids = [ranked.passage_id for ranked in ranking]
        assert len(ids) == len(set(ids)) == min(k, MATCHES[name].get(question.id, len(corpus)))
        assert ids == [r.passage_id for r in sorted(ranking, key=lambda ranked: (-ranked.score, ranked.passage_id))]
        assert all(type(ranked.score) is float for ranked in ranking)


@pytest.mark.parametrize("name", NAMES)
def test_only_candidates_are_ranked(name: str, build: object) -> None:
    some = ("tagus", "blank", "grieg", "bee")
    retriever = build(name)  # type: ignore[operator]
    questions = [Question(question.id, question.text, some) for question in QUESTIONS]
    found = [{ranked.passage_id for ranked in ranking} for ranking in retriever.retrieve(questions, 20)]
    assert all(ids <= set(some) for ids in found) and "grieg" in found[0]
    if name in ("dense", "given", "hybrid"):
        assert found == [set(some)] * len(QUESTIONS)
    assert max(map(len, retriever.retrieve(questions, 3))) <= 3


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_offered_nothing_is_found(name: str, build: object) -> None:
    retriever = build(name)  # type: ignore[operator]
    offered = [Question("norway", QUESTIONS[0].text, ()), Question("hitless", QUESTIONS[0].text, ("grieg",))]
    assert [len(ranking) for ranking in retriever.retrieve(offered, 5)] == [0, 1]


@pytest.mark.parametrize("name", SEARCHING)
def test_a_question_ranks_alike_alone_and_among_others(name: str, build: object) -> None:
    retriever = build(name)  # type: ignore[operator]
    mixed = [*QUESTIONS, Question("norway", "Which composer was born in Bergen?", ("bee", "oslo", "grieg"))]
    assert [retriever.retrieve([question], 6)[0] for question in mixed] == retriever.retrieve(mixed, 6)


@pytest.mark.parametrize("name", ["bm25", "dense", "hybrid", "rerank"])
def test_what_is_loaded_from_the_cache_ranks_as_what_was_built(name: str, build: object, corpus: Corpus) -> None:
    built = build(name)  # type: ignore[operator]
    loaded = build(name)  # type: ignore[operator]
    assert loaded.index(corpus).cached
    assert loaded.retrieve(QUESTIONS, 9) == built.retrieve(QUESTIONS, 9)


@pytest.mark.parametrize("name", NAMES)
def test_no_questions_get_no_rankings(name: str, build: object) -> None:
    assert list(build(name).retrieve([], 5)) == []  # type: ignore[operator]


@pytest.mark.parametrize("name", SEARCHING)
def test_an_empty_corpus_gives_empty_rankings(name: str, build: object) -> None:
    retriever = build(name)  # type: ignore[operator]
    if name == "run-file":
        with pytest.raises(DataError, match="not in the corpus of 0 passages"):
            retriever.index({})
            retriever.retrieve(QUESTIONS, 5)
        return
    assert retriever.index({}).passages == 0
    assert list(retriever.retrieve(QUESTIONS, 5)) == [[], [], [], []]


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_done_is_refused(name: str, build: object) -> None:
    retriever = build(name)  # type: ignore[operator]
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        retriever.retrieve(QUESTIONS, 0)
    with pytest.raises(BenchError, match="question 'norway': candidate passage 'atlantis' is not in the corpus"):
        retriever.retrieve([Question("norway", "?", ("oslo", "atlantis"))], 5)
