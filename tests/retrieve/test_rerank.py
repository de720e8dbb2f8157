from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder

from clara_bench.components import cuts
from clara_bench.components.identity import models
from clara_bench.components.registry import Component, build, create, effective_options
from clara_bench.errors import BackendError, ConfigError
from clara_bench.retrieve.rerank import Rerank
from clara_bench.retrieve.runfile import write_run
from clara_bench.types import Passage, Question, Ranked

Corpus = dict[str, Passage]

QUESTION = Question("q", "Who wrote Peer Gynt?")


@pytest.fixture
def options(cross_encoder_folder: Path) -> Rerank.Options:
    return Rerank.Options(model=str(cross_encoder_folder), device="cpu")


@pytest.fixture
def everything(corpus: Corpus, tmp_path: Path) -> Component:
    """A first retriever that finds every passage."""
    write_run(tmp_path / "all.trec", {"q": tuple(Ranked(pid, 1.0) for pid in (*corpus, "long"))}, "x")
    return Component("run-file", {"path": str(tmp_path / "all.trec")})


def _indexed(corpus: Corpus, options: Rerank.Options) -> Rerank:
    retriever = Rerank(options)
    retriever.index(corpus)
    return retriever


def test_scores_are_the_cross_encoders_logits(corpus: Corpus, options: Rerank.Options, everything: Component) -> None:
    model = CrossEncoder(options.model, device="cpu", local_files_only=True)
    pairs = [(QUESTION.text, f"{passage.title} {passage.text}".strip()) for passage in corpus.values()]
    logits = model.predict(pairs, activation_fn=torch.nn.Identity())
    question = replace(QUESTION, candidates=tuple(corpus))
    (ranking,) = _indexed(corpus, replace(options, first=everything)).retrieve([question], 13)
    expected = {passage_id: float(logit) for passage_id, logit in zip(corpus, logits, strict=True)}
    assert dict(ranking) == pytest.approx(expected, abs=2e-5)
    assert min(expected.values()) < 0 or max(expected.values()) > 1  # so these are not probabilities


def test_control_tokens_that_question_and_passages_spell_are_text(options: Rerank.Options) -> None:
    spelt = Passage("p", "Oslo", "Oslo [SEP] [CLS] is")
    retriever = _indexed({"p": spelt}, options)
    pairs = [("Who [SEP]?", f"{spelt.title} {spelt.text}")]
    ids = retriever._model.preprocess(pairs)["input_ids"].tolist()[0]
    assert ids.count(3) == 2 and ids.count(2) == 1  # those that the tokenizer adds


def test_only_the_first_retrievers_best_are_ranked_anew(
    corpus: Corpus, options: Rerank.Options, everything: Component, tmp_path: Path
) -> None:
    write_run(tmp_path / "run.trec", {"q": tuple(Ranked(pid, 1.0) for pid in ("bee", "oslo", "fram", "tagus"))}, "x")
    first = Component("run-file", {"path": str(tmp_path / "run.trec")})
    retriever = _indexed(corpus, replace(options, first=first, depth=3))
    (two,) = retriever.retrieve([QUESTION], 2)
    (whole,) = _indexed(corpus, replace(options, first=everything)).retrieve(
        [replace(QUESTION, candidates=tuple(corpus))], 13
    )
    assert two == [ranked for ranked in whole if ranked.passage_id in {"bee", "oslo", "fram"}][:2]
    (four,) = retriever.retrieve([QUESTION], 4)
    assert {ranked.passage_id for ranked in four} == {"bee", "oslo", "fram", "tagus"}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_rankings_do_not_depend_on_how_many_pairs_are_scored_at_once(
    corpus: Corpus, options: Rerank.Options, batch_size: int
) -> None:
    (expected,) = _indexed(corpus, options).retrieve([QUESTION], 13)
    (found,) = _indexed(corpus, replace(options, batch_size=batch_size)).retrieve([QUESTION], 13)
    assert len(found) > 2
    assert [ranked.passage_id for ranked in found] == [ranked.passage_id for ranked in expected]
    assert dict(found) == pytest.approx(dict(expected), abs=2e-5)


def test_equal_passages_are_ordered_by_id(corpus: Corpus, options: Rerank.Options) -> None:
    copies = {name: replace(corpus["ibsen"], id=name) for name in ("c", "a", "d", "b")}
    (ranking,) = _indexed({**copies, "oslo": corpus["oslo"]}, options).retrieve([QUESTION], 5)
    assert [ranked.passage_id for ranked in ranking if ranked.passage_id != "oslo"] == ["a", "b", "c", "d"]


def test_long_pairs_are_cut_not_refused(corpus: Corpus, options: Rerank.Options, everything: Component) -> None:
    long = {"long": Passage("long", "", "the seven mountains of Norway " * 200), **corpus}
    whole = _indexed(long, replace(options, first=everything)).retrieve([QUESTION], 14)
    assert len(whole[0]) == 14
    with cuts.heard() as told:
        assert _indexed(long, replace(options, first=everything, max_seq=8)).retrieve([QUESTION], 14) != whole
    assert told == {"q"}


def test_pairs_that_fit_are_not_said_to_be_cut(corpus: Corpus, options: Rerank.Options) -> None:
    with cuts.heard() as told:
        assert _indexed(corpus, options).retrieve([QUESTION], 13)[0]
    assert not told


@pytest.mark.filterwarnings("ignore:retriever 'bm25'")
def test_where_the_first_retriever_finds_nothing_nothing_is_ranked(corpus: Corpus, options: Rerank.Options) -> None:
    assert _indexed(corpus, options).retrieve([replace(QUESTION, text="zyzzyva")], 5) == [[]]


def test_an_encoder_without_a_trained_head_is_refused(
    corpus: Corpus, options: Rerank.Options, encoder_folder: Path
) -> None:
    with pytest.raises(BackendError, match=r"is not a cross-encoder with one score: its architecture is \['BertM"):
        _indexed(corpus, replace(options, model=str(encoder_folder)))


def test_a_missing_model_is_a_clear_error(corpus: Corpus, options: Rerank.Options) -> None:
    with pytest.raises(BackendError, match="model 'no/such/model': no such folder"):
        _indexed(corpus, replace(options, model="no/such/model"))


def test_the_manifest_names_the_models(options: Rerank.Options, encoder_folder: Path) -> None:
    described = Rerank(options).describe()
    assert described["model"] == options.model
    assert len(described["fingerprint"]) == 64
    given = {"model": options.model, "first": "dense", "first.model": str(encoder_folder), "first.device": "cpu"}
    assert models(build("retriever", Component("rerank", given)))["first"]["model"] == str(encoder_folder)
    nested = effective_options("retriever", Component("rerank", {"first": "dense", "first.max_seq": "32"}))
    assert nested["first"]["options"]["max_seq"] == 32


@pytest.mark.parametrize("option", ["depth", "batch_size", "max_seq"])
def test_impossible_options_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        create("retriever", Component("rerank", {option: "0"}))
