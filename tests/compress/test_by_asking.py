"""Compressors that ask a model: EXIT asks it about every sentence, RECOMP's writer for a summary."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from clara_bench import BackendError, Component, ConfigError, Passage, Question, create
from clara_bench.components import cuts
from clara_bench.compress.exit import PROMPT, Exit
from clara_bench.compress.recomp_abstractive import RecompAbstractive
from clara_bench.compress.shared.sentences import documents
from clara_bench.compress.shared.surprisal import LanguageModel
from clara_bench.compress.shared.yes_no import first_tokens, log_odds
from clara_bench.systems.rag import Rag
from tests.compress.texts import whole

from .conftest import PASSAGES, llama, saved_tokenizer

QUESTION = Question("q", "What is the capital of Norway?")
OSLO = Passage("o", "Oslo", "Oslo is old. It is the capital of Norway. Frank Herbert wrote Dune. It has a fjord.")
TEMPLATE = (
    "{% for m in messages %}<s>{{ m['content'] | trim }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"
)


def usefulness(folder: Path, sentence: str, chat: bool) -> float:
    """P(Yes) / (P(Yes) + P(No)) worked out without any of the code under test."""
    made, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    message = PROMPT.format(question=QUESTION.text, passage=f"Oslo\n{OSLO.text}", sentence=sentence)
    prompt = f"<s>{message}</s><s>" if chat else f"<s>{message}\nAnswer:"
    ids = made.encode(prompt, add_special_tokens=False)
    yes, no = (made.encode(("" if chat else " ") + word, add_special_tokens=False)[0] for word in ("Yes", "No"))
    with torch.inference_mode():
        probabilities = model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
    return float(probabilities[yes] / (probabilities[yes] + probabilities[no]))


@pytest.fixture(scope="module", params=["plain", "chat"])
def asked(request: pytest.FixtureRequest, causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The causal model, with and without a chat template."""
    folder = tmp_path_factory.mktemp("asked")
    shutil.copytree(causal, folder, dirs_exist_ok=True)
    if request.param == "chat":
        made = AutoTokenizer.from_pretrained(folder)
        made.chat_template = TEMPLATE
        made.save_pretrained(folder)
    return folder


def test_exit_keeps_the_sentences_whose_yes_is_likelier(asked: Path) -> None:
    chat = bool(AutoTokenizer.from_pretrained(asked).chat_template)
    [document] = documents([OSLO])
    expected = [usefulness(asked, sentence.text, chat) for sentence in document.sentences]
    compressor = Exit(Exit.Options(model=str(asked)))
    assert compressor.usefulness(QUESTION, document) == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) == 4
    low, high = sorted(expected)[1:3]
    kept = whole(Exit(Exit.Options(model=str(asked), threshold=(low + high) / 2)).compress(QUESTION, [OSLO]))
    staying = [s.text for s, useful in zip(document.sentences, expected, strict=True) if useful >= high]
    assert kept == "Oslo\n" + " ".join(staying)


def test_exit_keeps_everything_or_nothing_at_the_ends_of_its_scale(causal: Path) -> None:
    assert whole(Exit(Exit.Options(0.0, model=str(causal))).compress(QUESTION, [OSLO])) == f"Oslo\n{OSLO.text}"
    assert whole(Exit(Exit.Options(1.0, model=str(causal))).compress(QUESTION, [OSLO])) == ""


def test_prompts_judged_together_get_what_each_gets_alone(causal: Path) -> None:
    lm = LanguageModel(str(causal))
    yes, no = first_tokens(lm, ("Yes", "No"))
    shared = lm.ids("Oslo is the capital of Norway. ")
    prompts = [(*shared, *lm.ids(text)) for text in ("Dune", "Warsaw and Paris", "", "the cat sat on the mat") * 6]
    together = log_odds(lm, prompts, yes, no)
    alone = [log_odds(lm, [prompt], yes, no)[0] for prompt in prompts]
    apart = log_odds(lm, [*prompts, lm.ids("What?")], yes, no)[:-1]
    assert together == pytest.approx(alone, abs=1e-4)
    assert apart == pytest.approx(alone, abs=1e-4)


def test_a_model_that_begins_yes_and_no_alike_is_refused(causal: Path) -> None:
    with pytest.raises(BackendError, match="begins 'zebra' and 'xylo' with the same token"):
        first_tokens(LanguageModel(str(causal)), ("zebra", "xylo"))


def test_a_prompt_longer_than_the_model_reads_fails_its_question_and_not_the_run(tmp_path: Path) -> None:
    llama(max_position_embeddings=64).save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=r"and model '.*' reads 64\. Lower context_words \(400\)"):
        whole(Exit(Exit.Options(model=str(tmp_path))).compress(QUESTION, [OSLO]))


def test_a_summary_is_what_the_model_writes(writer: Path, causal: Path) -> None:
    texts = set()
    for folder in (writer, causal):
        for length in ("3", "12"):
            options = {"model": str(folder), "max_new_tokens": length}
            made = create("compressor", Component("recomp-abstractive", options))
            texts.add(whole(made.compress(QUESTION, PASSAGES)))
            assert made.describe()["prompt"] == ("recomp" if folder == writer else "summary@1")
    assert len(texts) == 4


def test_what_does_not_fit_into_the_input_is_not_read(writer: Path, causal: Path) -> None:
    more = (*PASSAGES, Passage("z", "", "Something else entirely. " * 50))
    other = (*PASSAGES, Passage("z", "", "Nothing like it at all, never. " * 50))
    for folder in (writer, causal):
        narrow = RecompAbstractive(RecompAbstractive.Options(model=str(folder), max_input_tokens=150))
        wide = RecompAbstractive(RecompAbstractive.Options(model=str(folder), max_input_tokens=2000))
        with cuts.heard() as told:
            assert whole(narrow.compress(QUESTION, more)) == whole(narrow.compress(QUESTION, other))
        assert told == {"q"}
        assert whole(wide.compress(QUESTION, more)) != whole(wide.compress(QUESTION, other))
        with pytest.raises(ValueError, match=r"the question alone takes \d+ tokens. Raise max_input_tokens \(150\)"):
            whole(narrow.compress(Question("q", "Why? " * 300), PASSAGES))


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A model that ends its answer before it has begun, whatever it is asked."""
    model = llama(eos_token_id=0)
    torch.nn.init.zeros_(model.lm_head.weight)
    model.generation_config.eos_token_id = 0
    model.save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    return tmp_path


def test_a_summary_that_would_fill_the_model_is_refused_before_any_question(tmp_path: Path) -> None:
    llama(max_position_embeddings=64).save_pretrained(tmp_path)
    saved_tokenizer(tmp_path)
    made = RecompAbstractive(RecompAbstractive.Options(model=str(tmp_path), max_new_tokens=64))
    with pytest.raises(ConfigError, match=r"reads 64 tokens. Lower max_new_tokens \(64\)"):
        made.prepare()


def test_a_summary_that_ends_at_its_limit_is_cut_and_one_that_ends_by_itself_is_not(causal: Path, silent: Path) -> None:
    for folder, expected in ((causal, {"q"}), (silent, set())):
        with cuts.heard() as told:
            RecompAbstractive(RecompAbstractive.Options(model=str(folder), max_new_tokens=3)).compress(
                QUESTION, PASSAGES
            )
        assert told == expected


def test_an_empty_summary_is_allowed_and_counted_as_no_context(silent: Path, causal: Path) -> None:
    chosen = Component("recomp-abstractive", {"model": str(silent)})
    reader = Component("hf", {"model": str(causal), "max_new_tokens": "2"})
    system = Rag(Rag.Options(compressor=chosen, reader=reader, k=2))
    system.index({passage.id: passage for passage in PASSAGES})
    [answer] = system.answer([QUESTION])
    assert answer.usage.context_positions == 0
    assert answer.usage.context_text_tokens > 20
    assert answer.usage.prompt_tokens > 0


def test_a_model_of_no_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no such type"}')
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    made = RecompAbstractive(RecompAbstractive.Options(model=str(tmp_path)))
    with pytest.raises(BackendError, match="cannot load a language model"):
        whole(made.compress(QUESTION, PASSAGES))


@pytest.mark.model
def test_a_real_model_finds_the_sentence_of_the_answer_more_useful_and_writes_a_summary() -> None:
    [document] = documents([Passage("o", "Oslo", "Oslo is the capital city of Norway. Honey bees like to dance.")])
    capital, bees = Exit().usefulness(QUESTION, document)
    assert 0 < bees < 1 and 0 < capital < 1
    summary = whole(RecompAbstractive(RecompAbstractive.Options(max_new_tokens=24)).compress(QUESTION, PASSAGES))
    assert "Oslo" in summary
