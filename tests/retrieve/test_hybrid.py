from pathlib import Path

import pytest

from clara_bench.components.identity import models
from clara_bench.components.registry import Component, build, create, effective_options
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.retrieve.hybrid import fuse
from clara_bench.retrieve.runfile import write_run
from clara_bench.types import Passage, Question, Ranked

Corpus = dict[str, Passage]


def _stored(tmp_path: Path, place: str, *ids: str) -> dict[str, str]:
    """Options for a nested run file that ranks the ids in this order."""
    path = tmp_path / f"{place}.trec"
    write_run(path, {"q": tuple(Ranked(pid, 9.0 - rank) for rank, pid in enumerate(ids))}, place)
    return {place: "run-file", f"{place}.path": str(path)}


def test_ranks_are_summed_as_in_the_paper() -> None:
    """With constant 60: b is 1/62 + 1/61, a is 1/61, d is 1/62, c is 1/63."""
    one, two = [Ranked("a", 0.9), Ranked("b", 0.8), Ranked("c", 0.7)], [Ranked("b", 31.0), Ranked("d", 30.0)]
    assert fuse([one, two], 60.0) == [("b", 1 / 62 + 1 / 61), ("a", 1 / 61), ("d", 1 / 62), ("c", 1 / 63)]


def test_equal_sums_are_ordered_by_passage_id() -> None:
    assert [r[0] for r in fuse([[Ranked("z", 1.0)], [Ranked("y", 5.0)], [Ranked("x", 0.0)]], 60.0)] == ["x", "y", "z"]


def test_two_retrievers_are_merged_within_depth(tmp_path: Path, corpus: Corpus) -> None:
    options = {
        **_stored(tmp_path, "first", "bee", "oslo", "fram", "ibsen"),
        **_stored(tmp_path, "second", "oslo", "tagus"),
    }
    retriever = create("retriever", Component("hybrid", {**options, "depth": "3"}))
    retriever.index(corpus)
    (ranking,) = retriever.retrieve([Question("q", "?")], 3)
    assert ranking == [("oslo", 1 / 62 + 1 / 61), ("bee", 1 / 61), ("tagus", 1 / 62)]


def test_more_passages_than_depth_are_still_found(tmp_path: Path, corpus: Corpus) -> None:
    options = {**_stored(tmp_path, "first", "bee", "fram"), **_stored(tmp_path, "second", "oslo"), "depth": "1"}
    retriever = create("retriever", Component("hybrid", options))
    retriever.index(corpus)
    (ranking,) = retriever.retrieve([Question("q", "?")], 12)
    assert [ranked.passage_id for ranked in ranking] == ["bee", "oslo", "fram"]


def test_what_no_retriever_ranks_is_not_fused(tmp_path: Path, corpus: Corpus) -> None:
    """With constant 60: tagus is third in both lists, 2/63; the first of each list 1/61, the second 1/62."""
    options = {
        **_stored(tmp_path, "first", "oslo", "fram", "tagus"),
        **_stored(tmp_path, "second", "ibsen", "curie", "tagus"),
    }
    retriever = create("retriever", Component("hybrid", options))
    retriever.index(corpus)
    (ranking,) = retriever.retrieve([Question("q", "?")], len(corpus))
    assert [ranked.passage_id for ranked in ranking] == ["tagus", "ibsen", "oslo", "curie", "fram"]
    (some,) = retriever.retrieve([Question("q", "?", ("bee", "fram", "tagus"))], len(corpus))
    assert [ranked.passage_id for ranked in some] == ["tagus", "fram"]


def test_a_third_retriever_has_its_say(tmp_path: Path, corpus: Corpus) -> None:
    two = {**_stored(tmp_path, "first", "bee", "oslo"), **_stored(tmp_path, "second", "oslo", "bee"), "constant": "0"}
    three = {**two, **_stored(tmp_path, "third", "oslo", "bee")}
    for options, best in ((two, ["bee", "oslo"]), (three, ["oslo", "bee"])):
        retriever = create("retriever", Component("hybrid", options))
        retriever.index(corpus)
        (ranking,) = retriever.retrieve([Question("q", "?")], 2)
        assert [ranked.passage_id for ranked in ranking] == best


def test_words_and_meaning_are_merged_by_default(encoder_folder: Path, corpus: Corpus) -> None:
    named = {"second.model": str(encoder_folder), "second.device": "cpu"}
    retriever = create("retriever", Component("hybrid", named))
    stats = retriever.index(corpus)
    words, meaning = (part.index(corpus) for part in retriever.retrievers)
    assert stats.bytes == words.bytes + meaning.bytes
    assert stats.encoded_tokens == meaning.encoded_tokens > 0
    assert not stats.cached and words.cached and meaning.cached
    question = [Question("q", "Which composer was born in Bergen?")]
    parts = [part.retrieve(question, 100)[0] for part in retriever.retrievers]
    assert retriever.retrieve(question, 5)[0] == fuse(parts, 60.0)[:5]
    assert set(models(build("retriever", Component("hybrid", named)))) == {"second"}


def test_the_manifest_holds_the_options_of_nested_retrievers() -> None:
    options = effective_options("retriever", Component("hybrid", {"first.k1": "0.9", "second.index": "hnsw"}))
    assert options["first"]["name"] == "bm25"
    assert options["first"]["options"]["k1"] == 0.9
    assert options["second"]["options"]["index"] == "hnsw"
    assert options["third"] is None
    assert options["constant"] == 60.0


def test_impossible_options_are_refused() -> None:
    for given, error, message in (
        ({"constant": "-1"}, ConfigError, "constant >= 0"),
        ({"depth": "0"}, ConfigError, "depth >= 1"),
        ({"first": "bm52"}, UnknownName, "unknown retriever 'bm52'. Did you mean 'bm25'"),
        ({"first.k2": "1"}, UnknownName, "unknown option 'k2'"),
        ({"third.k1": "1"}, ConfigError, "add -o third=NAME"),
    ):
        with pytest.raises(error, match=message):
            create("retriever", Component("hybrid", given))
