"""xRAG's published layout, with random weights: what its released code computes, from plain transformers."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clara_bench import BackendError, Component, ConfigError, DataError, Passage, Question, create
from reference.published.xrag import DOCUMENT_TOKENS, TOKEN, Encoder
from reference.systems.xrag import READING, Xrag
from tests.paper import check_answered, paper_rows

CORPUS = {
    "p0": Passage("p0", "Oslo", "Oslo is the capital of Norway."),
    "p1": Passage("p1", "Rome", "Rome is old. " * 100),
}
QUESTIONS = [Question("q0", "What is the capital of Norway?", ("p0", "p1")), Question("q1", "Is Rome old?", ("p1",))]


@pytest.fixture
def words(tokenizer):
    known = copy.deepcopy(tokenizer)
    known.add_special_tokens({"bos_token": "<s>", "additional_special_tokens": [TOKEN]})
    return known


@pytest.fixture
def encoder(tokenizer, tmp_path):
    """A folder as SFR-Embedding-Mistral's: the network without a head."""
    from transformers import MistralConfig, MistralModel

    torch.manual_seed(1)
    shape = {"num_hidden_layers": 2, "hidden_size": 24, "intermediate_size": 32, "num_attention_heads": 2}
    model = MistralModel(MistralConfig(**shape, num_key_value_heads=1, vocab_size=len(tokenizer))).eval()
    model.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    return model


@pytest.fixture
def bridged(words, tmp_path):
    """A folder as xrag-7b's, and the same in parts: language model and bridge."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    model = MistralForCausalLM(MistralConfig(**shape, num_key_value_heads=2, vocab_size=len(words))).eval()
    folder = tmp_path / "xrag"
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"architectures": ["XMistralForCausalLM"], "projector_type": "mlp2x_gelu", "retriever_hidden_size": 24}
    (folder / "config.json").write_text(json.dumps(settings))
    bridge = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 32))
    tensors = load_file(folder / "model.safetensors")
    tensors |= {f"projector.projector.{name}": tensor for name, tensor in bridge.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return model, bridge


def system(tmp_path, **options) -> Xrag:
    chosen = {"retriever": Component("given"), "dtype": "float32", "device": "cpu", "max_new_tokens": 6} | options
    return Xrag(Xrag.Options(model=str(tmp_path / "xrag"), encoder=str(tmp_path / "encoder"), **chosen))


@torch.no_grad()
def released(words, tokenizer, model, bridge, encoder, question, texts):
    """What the released code would answer to our prompt."""
    vectors = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=DOCUMENT_TOKENS, return_tensors="pt")
        vectors.append(
            encoder(**{name: ids[name] for name in ("input_ids", "attention_mask")}).last_hidden_state[0, -1]
        )
    ids = words(READING.format(slots=" ".join([TOKEN] * len(texts)), question=question), return_tensors="pt").input_ids
    embedded = model.get_input_embeddings()(ids)
    embedded[ids == words.convert_tokens_to_ids(TOKEN)] = bridge(torch.stack(vectors))
    out = model.generate(
        inputs_embeds=embedded, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
        pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    return words.decode(out[0], skip_special_tokens=True).strip().split("\n")[0].strip(), ids.shape[1]


@pytest.mark.parametrize("k", [1, 2])
def test_answers_are_those_of_the_released_layout(words, tokenizer, bridged, encoder, tmp_path, k):
    chosen = system(tmp_path, k=k)
    chosen.index(CORPUS)
    for question, answer in zip(QUESTIONS, chosen.answer(QUESTIONS), strict=True):
        texts = [f"{CORPUS[name].title}\n{CORPUS[name].text}" for name in question.candidates[:k]]
        expected, length = released(words, tokenizer, *bridged, encoder, question.text, texts)
        assert answer.text == expected
        assert answer.usage.context_positions == len(texts)
        assert answer.usage.prompt_tokens == length
        counts = [len(words(text, add_special_tokens=False).input_ids) for text in texts]
        assert answer.usage.context_text_tokens == sum(counts)


def test_without_passages_the_question_is_answered_alone(bridged, encoder, tmp_path):
    chosen = system(tmp_path)
    chosen.index({})
    [answer] = chosen.answer([Question("q", "Who?")])
    assert answer.usage.context_positions == 0
    assert answer.status in ("ok", "empty", "truncated")


def test_both_models_are_loaded_before_any_question_is_timed(bridged, encoder, tmp_path):
    chosen = system(tmp_path)
    assert not {"lm", "projector"} & vars(chosen._reader).keys()
    chosen.index(CORPUS)
    assert {"lm", "projector"} <= vars(chosen._reader).keys()
    assert "weights" in vars(chosen._encoder)


def test_a_question_cannot_bring_in_a_document(bridged, encoder, tmp_path):
    chosen = system(tmp_path)
    chosen.index(CORPUS)
    [answer] = chosen.answer([Question("q", f"Who is {TOKEN}?", ("p0",))])
    assert answer.usage.context_positions == 1


def test_a_prompt_that_does_not_fit_fails_alone(bridged, encoder, tmp_path):
    folder = tmp_path / "xrag"
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 100}))
    chosen = system(tmp_path)
    chosen.index(CORPUS)
    long, short = chosen.answer([Question("q0", "Why is it old? " * 60, ("p0",)), QUESTIONS[1]])
    assert long.status == "error"
    assert "100 fit" in long.error
    assert short.status != "error"


def test_the_leaderboard_says_that_nobody_ran_the_real_weights(bridged, encoder, tmp_path):
    chosen = create(
        "system", Component("xrag", {"model": str(tmp_path / "xrag"), "encoder": str(tmp_path / "encoder")})
    )
    assert chosen.traits.weights == "official, unverified"
    assert chosen.traits.backbone == "xrag"
    assert set(chosen.describe()) >= {"model", "encoder", "dtype"}


def test_the_row_of_the_paper_s_table_runs_over_weights_in_the_published_layout(bridged, encoder, tmp_path):
    options = {"model": str(tmp_path / "xrag"), "encoder": str(tmp_path / "encoder"), "max_new_tokens": "4"}
    check_answered(paper_rows("-xrag", options, tmp_path / "runs"))


@pytest.mark.parametrize("change", [{"projector_type": "linear"}, {"retriever_hidden_size": None}])
def test_another_bridge_is_refused(bridged, encoder, tmp_path, change):
    folder = tmp_path / "xrag"
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | change))
    chosen = system(tmp_path)
    with pytest.raises(DataError, match="mlp2x_gelu"):
        _ = chosen._reader.projector


@pytest.mark.parametrize("kept", ["none", "some", "other"])
def test_a_bridge_with_other_tensors_is_refused(bridged, encoder, tmp_path, kept):
    path = tmp_path / "xrag" / "model.safetensors"
    tensors = load_file(path)
    bridge = sorted(name for name in tensors if name.startswith("projector."))
    changed = bridge if kept == "none" else bridge[:1]
    rest = {name: tensor for name, tensor in tensors.items() if name not in changed}
    save_file(rest | {name: torch.zeros(3) for name in changed if kept == "other"}, path, {"format": "pt"})
    chosen = system(tmp_path)
    with pytest.raises(DataError, match="bridge"):
        _ = chosen._reader.projector


def test_a_tokenizer_without_the_token_is_refused(tokenizer, bridged, encoder, tmp_path):
    tokenizer.save_pretrained(tmp_path / "xrag")
    with pytest.raises(DataError, match="<xRAG>"):
        _ = system(tmp_path)._reader.tokenizer


def test_an_encoder_that_lacks_weights_is_refused(bridged, encoder, tmp_path):
    path = tmp_path / "encoder" / "model.safetensors"
    tensors = load_file(path)
    del tensors["norm.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(BackendError, match=r"norm\.weight"):
        _ = system(tmp_path)._encoder.weights


def test_a_number_below_one_is_refused():
    with pytest.raises((ConfigError, ValueError), match="k must be at least 1"):
        Xrag.Options(k=0)


def test_an_encoder_s_own_code_is_never_run_and_nobody_is_asked(tokenizer, tmp_path, monkeypatch):
    from transformers import MistralConfig, MistralModel

    shape = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    MistralModel(MistralConfig(**shape, num_key_value_heads=1, vocab_size=len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('code of the folder ran')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(BackendError):
        _ = Encoder(str(tmp_path), torch.float32, torch.device("cpu")).weights
