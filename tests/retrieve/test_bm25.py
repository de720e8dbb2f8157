import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer

from clara_bench.components.registry import Component, create
from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.retrieve.bm25 import BM25
from clara_bench.types import Passage, Question, Retriever

Corpus = dict[str, Passage]


def _indexed(corpus: Corpus, **options: object) -> BM25:
    retriever = BM25(BM25.Options(**options))  # type: ignore[arg-type]
    retriever.index(corpus)
    return retriever


def _ids(retriever: BM25, text: str, k: int, candidates: tuple[str, ...] | None = None) -> list[str]:
    (ranking,) = retriever.retrieve([Question("q", text, candidates)], k)
    return [ranked.passage_id for ranked in ranking]


def test_questions_are_stemmed_as_passages_are(corpus: Corpus) -> None:
    """No word of this question is in a passage as it stands: only its stems are."""
    assert _ids(_indexed(corpus), "discovering dances", 3) == ["curie", "bee", "frisch"]
    with pytest.warns(UserWarning, match="shares no word"):
        assert _ids(_indexed(corpus, stemmer=None), "discovering dances", 3) == []


def test_scores_are_those_of_bm25s(corpus: Corpus) -> None:
    texts = [f"{corpus[key].title} {corpus[key].text}" for key in sorted(corpus)]
    stemmer = Stemmer.Stemmer("english")
    direct = bm25s.BM25(k1=0.9, b=0.4)
    direct.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)
    question = "Which Norwegian composer born in Bergen wrote Peer Gynt suites?"
    (words,) = bm25s.tokenize(question, stemmer=stemmer, return_ids=False, show_progress=False)
    expected = dict(zip(sorted(corpus), direct.get_scores(words), strict=True))

    (ranking,) = _indexed(corpus, k1=0.9, b=0.4).retrieve([Question("q", question)], len(corpus))
    assert ranking[0].passage_id == "grieg"
    found = {ranked.passage_id: np.float32(ranked.score) for ranked in ranking}
    assert found == {passage_id: score for passage_id, score in expected.items() if score > 0}
    assert 0 < len(found) < len(corpus)


@pytest.mark.parametrize("text", ["", "?!", "is it the", "zyzzyva quokka", "!!!"])
def test_a_question_that_shares_no_word_with_any_passage_gets_none_and_the_first_is_told(
    corpus: Corpus, text: str
) -> None:
    retriever = _indexed(corpus)
    with pytest.warns(UserWarning, match="retriever 'bm25': what is asked for question 'q' shares no word"):
        assert _ids(retriever, text, 4) == []
    assert _ids(retriever, text, 4, ("tagus", "oslo")) == []


@pytest.mark.parametrize("method", ["robertson", "lucene", "atire", "bm25l", "bm25+"])
@pytest.mark.parametrize(("k", "expected"), [(1, ["lisbon"]), (2, ["lisbon", "oslo"]), (50, ["lisbon", "oslo"])])
def test_every_method_ranks_what_shares_a_word_and_nothing_else(
    corpus: Corpus, method: str, k: int, expected: list[str]
) -> None:
    """BM25L and BM25+ give a passage without any of the words a score above 0."""
    assert _ids(_indexed(corpus, method=method), "capital of Portugal", k) == expected


def test_nothing_offered_is_nothing_found(corpus: Corpus) -> None:
    assert _ids(_indexed(corpus), "the capital of Norway", 4, ()) == []


def test_only_candidates_are_ranked_and_by_the_same_scores(corpus: Corpus) -> None:
    retriever = _indexed(corpus)
    whole, some = retriever.retrieve(
        [Question("a", "the capital of Norway"), Question("b", "the capital of Norway", ("bee", "lisbon", "bergen"))],
        13,
    )
    assert some == [ranked for ranked in whole if ranked.passage_id in {"bee", "lisbon", "bergen"}]
    assert {ranked.passage_id for ranked in some} == {"bergen", "lisbon"}


def test_equal_scores_are_ordered_by_passage_id_wherever_they_are_stored() -> None:
    copies = {name: Passage(name, "", "The same words.") for name in ("c", "a", "d", "b")}
    for order in (("c", "a", "d", "b"), ("d", "c", "b", "a")):
        retriever = _indexed({name: copies[name] for name in order})
        assert _ids(retriever, "same words", 3) == ["a", "b", "c"]


def test_titles_are_searched_unless_left_out(corpus: Corpus) -> None:
    titled = {**corpus, "zurich": Passage("zurich", "Zürich", "The largest city of Switzerland.")}
    assert _ids(_indexed(titled), "zürich", 1) == ["zurich"]
    with pytest.warns(UserWarning, match="shares no word"):
        assert _ids(_indexed(titled, title=False), "zürich", 1) == []


def test_unknown_candidates_are_refused(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="question 'q': candidate passage 'atlantis'"):
        _ids(_indexed(corpus), "Norway", 2, ("oslo", "atlantis"))


def test_k_below_one_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        _ids(_indexed(corpus), "Norway", 0)


def test_no_passages_and_no_words_are_no_special_case() -> None:
    assert _indexed({}).retrieve([Question("q", "Norway")], 3) == [[]]
    with pytest.warns(UserWarning, match="none of 2 passages has a word, so nothing will be found"):
        wordless = _indexed({"p": Passage("p", "", "the"), "n": Passage("n", "", "")})
    assert _ids(wordless, "Norway", 3) == []


def test_the_index_is_read_from_the_cache_and_ranks_alike(corpus: Corpus) -> None:
    first, second = BM25(BM25.Options()), BM25(BM25.Options())
    built = first.index(corpus)
    loaded = second.index(dict(reversed(corpus.items())))
    assert (built.cached, loaded.cached) == (False, True)
    assert built.passages == loaded.passages == 13
    assert built.bytes == loaded.bytes > 1000
    question = [Question("q", "polar ship")]
    assert first.retrieve(question, 13) == second.retrieve(question, 13)


def test_other_options_and_other_passages_are_other_indexes(corpus: Corpus) -> None:
    BM25(BM25.Options()).index(corpus)
    for options in (BM25.Options(k1=1.2), BM25.Options(title=False), BM25.Options(stemmer=None)):
        assert not BM25(options).index(corpus).cached
    assert not BM25(BM25.Options()).index({**corpus, "bee": Passage("bee", "", "Bees buzz.")}).cached


def test_a_damaged_cache_is_rebuilt(corpus: Corpus, cache: Path) -> None:
    before = _indexed(corpus).retrieve([Question("q", "polar ship")], 13)
    (data,) = cache.glob("index/bm25/*/data.csc.index.npy")
    data.write_bytes(data.read_bytes()[:-4] + b"\x00\x00\x80\x7f")  # the last score becomes infinity
    again = BM25(BM25.Options())
    assert not again.index(corpus).cached
    assert again.retrieve([Question("q", "polar ship")], 13) == before


def test_the_cache_holds_no_pickles(corpus: Corpus, cache: Path) -> None:
    _indexed(corpus)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".npy", ".json"}
    for path in files:
        if path.suffix == ".npy":
            np.load(path, allow_pickle=False)


def test_rankings_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """Stemming goes through a set of strings, whose order differs from process to process."""
    program = """
import sys
from clara_bench.retrieve.bm25 import BM25
from clara_bench.types import Passage, Question
words = "river coast capital mountain ship play suite dance flower ocean".split()
corpus = {f"p{i}": Passage(f"p{i}", "", " ".join(words[i % 7 : i % 7 + 1 + i % 4])) for i in range(40)}
retriever = BM25(BM25.Options())
retriever.index(corpus)
print(retriever.retrieve([Question("q", "capital ships and mountain flowers")], 40))
"""
    outputs = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "CLARA_BENCH_CACHE": str(tmp_path / seed)}
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        outputs.add(run.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": "-1"}, "k1 >= 0"),
        ({"b": "1.5"}, "0 <= b <= 1"),
        ({"k1": "nan"}, "k1"),
        ({"stemmer": "klingon"}, "unknown stemmer 'klingon'. Known: arabic"),
        ({"stopwords": "klingon"}, "klingon not recognized"),
        ({"method": "tfidf"}, "method"),
        ({"k1": "inf"}, "k1"),
        ({"token_pattern": "[a-z"}, r"'\[a-z' is not a regular expression: unterminated"),
        ({"token_pattern": r"(\w)+"}, "has groups"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("retriever", Component("bm25", options))


def test_it_is_found_by_name_and_speaks_the_protocol() -> None:
    retriever = create("retriever", Component("bm25", {"k1": "0.9", "stemmer": "none"}))
    assert isinstance(retriever, Retriever)
    assert dataclasses.astuple(retriever.options)[:4] == (0.9, 0.75, "lucene", None)
    with pytest.raises(UnknownName, match="Did you mean 'stemmer'"):
        create("retriever", Component("bm25", {"stemer": "none"}))
