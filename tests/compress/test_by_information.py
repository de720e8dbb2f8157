"""Compressors that ask a language model what it could have guessed: what is surprising stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM, BertModel

from clara_bench import BackendError, Component, Passage, Question, create
from clara_bench.compress.llmlingua import LLMLingua
from clara_bench.compress.longllmlingua import RESTRICTION, LongLLMLingua
from clara_bench.compress.selective_context import SelectiveContext
from tests.compress.texts import whole

from .conftest import bert_config, llama, randomised, saved_tokenizer

QUESTION = Question("q", "Where did the dog sit?")
KNOWN = "the cat sat on the mat and the dog sat on the log . "


@pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
def test_selective_context_keeps_what_the_model_does_not_expect(taught: Path, unit: str) -> None:
    text = f"{KNOWN * 2}Frank Herbert wrote Dune. {KNOWN}"
    options = SelectiveContext.Options(rate=6, unit=unit, model=str(taught))  # type: ignore[arg-type]
    kept = whole(SelectiveContext(options).compress(QUESTION, [Passage("p", "", text)]))
    assert "erbert" in kept and "Dune" in kept
    assert "sat on the log" not in kept


@pytest.mark.parametrize("segment", [20, 100])
def test_llmlingua_keeps_the_rarer_tokens(taught: Path, segment: int) -> None:
    text = f"{KNOWN * 2}Frank Herbert wrote Dune. {KNOWN}"
    options = LLMLingua.Options(rate=6, segment=segment, model=str(taught))
    kept = whole(LLMLingua(options).compress(QUESTION, [Passage("p", "", text)]))
    assert "erbert" in kept and "Dune" in kept
    assert "sat on the log" not in kept


def test_llmlingua_drops_the_passages_that_the_model_knows_first(taught: Path) -> None:
    passages = [Passage("a", "", KNOWN * 2), Passage("b", "", "Frank Herbert wrote Dune in 1965, Warsaw and Oslo.")]
    for ordered in (passages, passages[::-1]):
        kept = whole(LLMLingua(LLMLingua.Options(rate=3, coarse=1, model=str(taught))).compress(QUESTION, ordered))
        assert "cat" not in kept and "Dune" in kept


def test_longllmlingua_ranks_passages_by_how_likely_they_make_the_question(causal: Path) -> None:
    texts = ["Oslo is the capital of Norway.", "the dog sat on the log .", "Marie Curie was born in Warsaw."]
    made, model = AutoTokenizer.from_pretrained(causal), AutoModelForCausalLM.from_pretrained(causal)
    asked = made.encode(QUESTION.text + RESTRICTION, add_special_tokens=False)
    losses = []
    for text in texts:
        given = [0, *made.encode(text, add_special_tokens=False), *made.encode("\n\n", add_special_tokens=False)]
        ids = torch.tensor([[*given, *asked]])
        with torch.inference_mode():
            losses.append(float(model(input_ids=ids, labels=torch.tensor([[-100] * len(given) + asked])).loss))
    order = sorted(range(3), key=losses.__getitem__)
    passages = [Passage(str(number), "", text) for number, text in enumerate(texts)]
    compressor = LongLLMLingua(LongLLMLingua.Options(rate=1, model=str(causal)))
    assert whole(compressor.compress(QUESTION, passages)) == "\n\n".join(texts[place] for place in order)
    keep_order = LongLLMLingua(LongLLMLingua.Options(rate=1, reorder=False, model=str(causal)))
    assert whole(keep_order.compress(QUESTION, passages)) == "\n\n".join(texts)


def test_longllmlingua_keeps_more_of_the_better_passage(causal: Path) -> None:
    text = "Oslo is the capital of Norway and Warsaw is not ."
    passages = [Passage("a", "", text), Passage("b", "", text.replace("Oslo", "Paris"))]
    lengths = {}
    for spread in (0.0, 0.4):
        options = LongLLMLingua.Options(rate=2, coarse=3, spread=spread, model=str(causal))
        first, second = whole(LongLLMLingua(options).compress(QUESTION, passages)).split("\n\n")
        lengths[spread] = len(first) - len(second)
    assert lengths[0.4] > lengths[0.0] + 5


def test_longllmlingua_prunes_what_the_question_does_not_explain(causal: Path) -> None:
    """Worth is surprisal without the question less that with it; worked out here by the model itself."""
    text = "Oslo is the capital of Norway and Warsaw is not ."
    made, model = AutoTokenizer.from_pretrained(causal), AutoModelForCausalLM.from_pretrained(causal)
    ids = made.encode(text, add_special_tokens=False)
    asked = made.encode(QUESTION.text, add_special_tokens=False) + made.encode("\n\n", add_special_tokens=False)
    nats = []
    for given in ([0], [0, *asked]):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*given, *ids]])).logits[0, len(given) - 1 : -1]
        nats.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="none"))
    worth = nats[0] - nats[1]
    best = sorted(worth.argsort(descending=True)[: len(ids) // 2].tolist())
    made_so = LongLLMLingua(LongLLMLingua.Options(rate=2, model=str(causal)))
    kept = whole(made_so.compress(QUESTION, [Passage("p", "", text)]))
    assert "".join(kept.split()) == "".join(made.decode([ids[place]]).strip() for place in best)


def test_a_model_that_would_judge_with_weights_drawn_by_chance_is_refused(tmp_path: Path) -> None:
    """An encoder once became a judge whose last layer was another one at every start."""
    randomised(BertModel(bert_config())).save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    with pytest.raises(BackendError, match="is not a causal language model: it has no weights for cls"):
        SelectiveContext(SelectiveContext.Options(model=str(tmp_path))).prepare()


def test_a_model_that_reads_both_ways_is_refused(tmp_path: Path) -> None:
    randomised(BertForMaskedLM(bert_config())).save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    with pytest.raises(BackendError, match="is a bidirectional encoder"):
        SelectiveContext(SelectiveContext.Options(model=str(tmp_path))).prepare()


def test_a_page_of_blanks_neither_fills_the_window_nor_the_budget(causal: Path) -> None:
    passage = Passage("p", "Oslo", "Oslo lies" + " \n" * 4000 + "at the head of the fjord.")
    for name in ("selective-context", "llmlingua", "longllmlingua"):
        made = create("compressor", Component(name, {"model": str(causal), "rate": "2"}))
        [kept] = made.compress(Question("q", "Where is Oslo?"), [passage])
        assert 2 <= len(kept.split()) <= 9


@pytest.mark.parametrize("name", ["selective-context", "llmlingua", "longllmlingua", "exit"])
def test_a_model_with_damaged_weights_is_refused(tmp_path: Path, name: str) -> None:
    model = llama()
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    model.save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    with pytest.raises(BackendError, match="gave a value that is not finite: its weights are damaged"):
        create("compressor", Component(name, {"model": str(tmp_path)})).compress(QUESTION, [Passage("p", "", KNOWN)])


@pytest.mark.model
def test_a_real_model_ranks_the_passage_of_the_answer_first() -> None:
    passages = [
        Passage("a", "Honey bee", "Honey bees live in colonies and dance to tell each other where flowers are."),
        Passage("b", "Oslo", "Oslo is the capital of Norway and lies at the head of the Oslofjord."),
        Passage("c", "Radium", "Radium is a radioactive chemical element with atomic number 88."),
    ]
    question = Question("q", "What is the capital of Norway?")
    kept = whole(LongLLMLingua(LongLLMLingua.Options(rate=3, coarse=1)).compress(question, passages))
    assert "Oslo is the capital of Norway" in kept and "bee" not in kept and "88" not in kept
