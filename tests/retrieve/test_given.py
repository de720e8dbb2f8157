import pytest

from clara_bench.components.registry import Component, create
from clara_bench.errors import ConfigError, DataError
from clara_bench.types import Passage, Question

Corpus = dict[str, Passage]


def test_candidates_keep_their_order_with_falling_scores(corpus: Corpus) -> None:
    retriever = create("retriever", Component("given"))
    assert retriever.index(corpus).passages == 13
    (all_of_them,) = retriever.retrieve([Question("q", "?", ("tagus", "bee", "oslo"))], 5)
    assert all_of_them == [("tagus", 1.0), ("bee", 1 / 2), ("oslo", 1 / 3)]
    (two,) = retriever.retrieve([Question("q", "?", ("tagus", "bee", "tagus", "oslo"))], 2)
    assert two == [("tagus", 1.0), ("bee", 1 / 2)]


def test_a_corpus_is_not_searched(corpus: Corpus) -> None:
    retriever = create("retriever", Component("given"))
    retriever.index(corpus)
    with pytest.raises(ConfigError, match="question 'q' has no candidates, and retriever 'given' does not search"):
        retriever.retrieve([Question("q", "?")], 5)
    with pytest.raises(DataError, match="'atlantis' is not in the corpus"):
        retriever.retrieve([Question("q", "?", ("atlantis",))], 5)


def test_without_passages_there_is_nothing_to_give() -> None:
    retriever = create("retriever", Component("given"))
    retriever.index({})
    assert retriever.retrieve([Question("q", "?")], 5) == [[]]
