"""Compressors whose choice is a trained model's: sentence encoders and token classifiers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

from clara_bench import BackendError, Component, ConfigError, Passage, Question, create
from clara_bench.components import cuts
from clara_bench.compress.llmlingua2 import LLMLingua2
from clara_bench.compress.provence import Provence
from clara_bench.compress.recomp_extractive import RecompExtractive
from clara_bench.compress.shared.spans import Span, words
from clara_bench.compress.shared.token_classifier import Judged, TokenClassifier, mean_keep
from tests.compress.texts import whole

from .conftest import PASSAGES, saved_tokenizer

QUESTION = Question("q", "What is the capital of Norway?")

CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

class TinyConfig(PretrainedConfig):
    model_type = "tiny-provence"

class Tiny(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(400, 2)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, **_):
        return ModelOutput(compression_logits=self.table(input_ids), ranking_scores=torch.zeros(len(input_ids)))
"""


def test_token_probabilities_are_the_models_own(classifier: Path) -> None:
    text = "Oslo is the capital of Norway."
    made, model = AutoTokenizer.from_pretrained(classifier), AutoModelForTokenClassification.from_pretrained(classifier)
    with torch.inference_mode():
        expected = model(**made(text, return_tensors="pt")).logits[0, 1:-1].softmax(-1)[:, 1]
    [judged] = TokenClassifier(str(classifier), "keep", False, "cpu").judge([text])
    assert [token.keep for token in judged] == pytest.approx(expected.tolist(), abs=1e-5)
    [other] = TokenClassifier(str(classifier), "drop", False, "cpu").judge([text])
    assert [token.keep for token in other] == pytest.approx((1 - expected).tolist(), abs=1e-5)


def test_long_texts_are_judged_whole_in_chunks(classifier: Path) -> None:
    text = "The river Vistula runs through Warsaw. " * 40
    judge = TokenClassifier(str(classifier), None, False, "cpu")
    for question in (None, QUESTION.text, "What? " * 500):
        short, judged = judge.judge(["Oslo", text], question)
        assert 0 < len(short) < 5
        assert "".join(text[start:end] for (start, end), _ in judged).replace(" ", "") == text.replace(" ", "")


def test_a_words_probability_is_the_mean_of_its_tokens() -> None:
    tokens = [Judged(Span(0, 2), 0.2), Judged(Span(2, 4), 0.4), Judged(Span(4, 9), 0.9)]
    assert mean_keep(tokens, words("Oslo lies here")) == pytest.approx([0.3, 0.9, 0.0])


def test_llmlingua2_keeps_the_words_likeliest_to_stay(classifier: Path) -> None:
    text = PASSAGES[1].text
    [judged] = TokenClassifier(str(classifier), None, False, "cpu").judge([text])
    found = words(text)
    means = mean_keep(judged, found)
    best = sorted(sorted(range(len(found)), key=lambda place: -means[place])[: len(found) // 3])
    kept = whole(LLMLingua2(LLMLingua2.Options(str(classifier), rate=3)).compress(QUESTION, [PASSAGES[1]]))
    assert kept.split() == [text[found[place].start : found[place].end] for place in best]


def test_provence_keeps_sentences_above_the_threshold_under_their_title(classifier: Path) -> None:
    passage = Passage("p", "Oslo", "Oslo is a city. Warsaw has the river Vistula. Frank Herbert wrote Dune.")
    [judged] = TokenClassifier(str(classifier), None, False, "cpu").judge(["Oslo\n" + passage.text], QUESTION.text)
    spans = [Span(5, 20), Span(21, 50), Span(51, 76)]
    means = mean_keep(judged, spans)
    sentences = [("Oslo\n" + passage.text)[start:end] for start, end in spans]
    for threshold in sorted(means):
        kept = whole(Provence(Provence.Options(str(classifier), threshold)).compress(QUESTION, [passage]))
        staying = [sentence for sentence, mean in zip(sentences, means, strict=True) if mean >= threshold]
        assert kept == "Oslo\n" + " ".join(staying)
    assert whole(Provence(Provence.Options(str(classifier), 1.0)).compress(QUESTION, [passage])) == ""


def test_the_question_changes_what_provence_thinks(classifier: Path) -> None:
    judge = TokenClassifier(str(classifier), None, False, "cpu")
    assert judge.judge(["Oslo is old."], "Who wrote Dune?") != judge.judge(["Oslo is old."], "Where is Warsaw?")


def test_code_that_comes_with_a_checkpoint_runs_only_when_allowed(tmp_path: Path) -> None:
    (tmp_path / "modeling_tiny.py").write_text(CODE)
    auto = {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.Tiny"}
    config = {"model_type": "tiny-provence", "auto_map": auto, "architectures": ["Tiny"], "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = saved_tokenizer(tmp_path, encoder=True)
    table = torch.zeros(400, 2)
    table[:, 0] = 5.0
    table[made.encode("Norway", add_special_tokens=False), 1] = 99.0
    save_file({"table.weight": table}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    passage = Passage("p", "", "Norway. Warsaw Vistula Curie.")
    options = {"model": str(tmp_path), "threshold": "0.5"}
    with pytest.raises(BackendError, match="cannot load"):
        whole(create("compressor", Component("provence", options)).compress(QUESTION, [passage]))
    made = create("compressor", Component("provence", {**options, "remote_code": "true"}))
    assert whole(made.compress(QUESTION, [passage])) == "Norway."


def test_a_checkpoint_without_a_trained_head_is_refused(causal: Path) -> None:
    with pytest.raises(BackendError, match="is not a token classifier: it has no weights for"):
        whole(LLMLingua2(LLMLingua2.Options(str(causal))).compress(QUESTION, PASSAGES))


def test_bad_options_are_refused_before_anything_is_loaded(classifier: Path) -> None:
    for name, options, said in (
        ("llmlingua2", {}, "option 'model' is required"),
        ("provence", {"model": str(classifier), "threshold": "1.5"}, "threshold must lie between 0 and 1, got 1.5"),
        ("recomp-extractive", {"sentences": "0"}, "sentences must be at least 1, got 0"),
        ("recomp-extractive", {"rate": "0.5"}, "rate must be a number of at least 1"),
        ("llmlingua", {"segment": "0"}, "segment must be at least 1, got 0"),
        ("llmlingua", {"coarse": "nan"}, "'coarse': expected a finite number"),
        ("longllmlingua", {"spread": "-1"}, "spread must lie between 0 and 1"),
        ("selective-context", {"unit": "page"}, "invalid enum value 'page'"),
    ):
        with pytest.raises(ConfigError, match=said):
            create("compressor", Component(name, options))
    with pytest.raises(BackendError, match=r"no label 'stay'\. Expected one of: drop, keep"):
        whole(LLMLingua2(LLMLingua2.Options(str(classifier), label="stay")).compress(QUESTION, PASSAGES))


def test_recomp_keeps_as_many_sentences_as_asked(encoder: Path) -> None:
    for number in (1, 2, 3, 99):
        kept = RecompExtractive(RecompExtractive.Options(sentences=number, model=str(encoder)))
        text = whole(kept.compress(QUESTION, [Passage("p", "", "One came. Two went. Three saw. Four won.")]))
        assert text.count(".") == min(number, 4)


def test_a_question_that_is_cut_is_told(classifier: Path, encoder: Path) -> None:
    judge = TokenClassifier(str(classifier), None, False, "cpu")
    made = RecompExtractive(RecompExtractive.Options(model=str(encoder)))
    for text, cut in (("Oslo?", False), ("What? " * 500, True)):
        assert judge.cuts(text) is cut
        with cuts.heard() as told:
            made.compress(Question("q", text), PASSAGES)
        assert told == ({"q"} if cut else set())


@pytest.mark.model
def test_recomp_picks_the_sentences_that_the_real_encoder_finds_nearest() -> None:
    passages = [
        Passage("a", "Honey bee", "Honey bees dance. They live in colonies."),
        Passage("b", "Oslo", "It lies on a fjord. It is the capital city of Norway. Trams run there."),
    ]
    one = RecompExtractive(RecompExtractive.Options(sentences=1))
    assert whole(one.compress(QUESTION, passages)) == "Oslo\nIt is the capital city of Norway."
    assert whole(one.compress(Question("q", "Which insects dance?"), passages)) == "Honey bee\nHoney bees dance."
    rated = whole(RecompExtractive(RecompExtractive.Options(rate=3)).compress(QUESTION, passages))
    assert rated == "Oslo\nIt is the capital city of Norway."
