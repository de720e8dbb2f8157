"""Weights laid out as Apple's checkpoint become ours, tensor by tensor."""

from __future__ import annotations

import warnings
import zipfile

import pytest
import torch

from clara_bench import ConfigError, DataError
from reference.model.backbone import Loaded
from reference.model.prompts import memory_block
from reference.published.apple import import_apple, read_apple
from reference.settings.config import Adapters, Memory, ModelConfig
from tests.paper import check_answered, paper_rows

ADAPTERS = ("encoder_adapter", "decoder_adapter", "query_reasoner_adapter")
CONFIG = ModelConfig(adapters=Adapters(rank=2, alpha=4), memory=Memory(rate=8, document_tokens=32))
SPECIALS = ["<MEM0>", "<MEM1>", "<MEM2>", "<MEM3>", "<AE>", "<ENC>", "<SEP>"]


def mistral(vocabulary):
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(**shape, num_key_value_heads=2, vocab_size=vocabulary)).eval()


@pytest.fixture
def backbone(tokenizer):
    return Loaded(mistral(len(tokenizer)), tokenizer, "random")


@pytest.fixture
def theirs(tokenizer):
    """A model as the released code builds it: grown embeddings, and adapters by name in one model of transformers."""
    from peft import LoraConfig

    model = mistral(len(tokenizer))
    model.resize_token_embeddings(len(tokenizer) + len(SPECIALS), mean_resizing=False)
    for number, name in enumerate(ADAPTERS):
        settings = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters is what is meant
            model.add_adapter(settings, name)
        torch.manual_seed(number)
        for parameter_name, parameter in model.named_parameters():
            if f".{name}." in parameter_name:
                parameter.data = 0.1 * torch.randn(parameter.shape)
    return model


@pytest.fixture
def released(theirs):
    states = {name: dict(theirs.get_adapter_state_dict(name)) for name in ADAPTERS}
    embeddings = theirs.get_input_embeddings().weight.detach()
    for state in states.values():  # PEFT 0.17 saves both matrices beside each adapter of a model that has grown
        state["model.embed_tokens.weight"] = embeddings
        state["lm_head.weight"] = theirs.get_output_embeddings().weight.detach()
    return states, embeddings


def test_23_every_tensor_of_apple_s_checkpoint_has_one_place_in_ours(released, backbone):
    adapters, embeddings = released
    model = import_apple(adapters, embeddings, backbone, CONFIG)
    for theirs, ours in zip(ADAPTERS, ("compressor", "generator", "reasoner"), strict=True):
        placed = model.role(ours).trainable()
        given = {name: tensor for name, tensor in adapters[theirs].items() if "lora_" in name}
        assert len(placed) == len(given)
        for name, tensor in given.items():
            assert torch.equal(placed[name.replace(".weight", ".default.weight")], tensor)
    count = len(backbone.tokenizer)
    assert torch.equal(model.memory, embeddings[count : count + 4])
    assert torch.equal(model.opening, embeddings[count + 5])
    assert torch.equal(model.separator, embeddings[count + 6])


def test_23_imported_weights_compress_and_read_as_the_released_model_does(theirs, released, backbone):
    model = import_apple(*released, backbone, CONFIG)
    count, ids = len(backbone.tokenizer), [11, 12, 13, 14]
    bos, eos = backbone.tokenizer.bos_token_id, backbone.tokenizer.eos_token_id
    memories = list(range(count, count + 4))
    with torch.no_grad():
        theirs.set_adapter("encoder_adapter")
        inputs = torch.tensor([[count + 5, bos, *ids, eos, *memories]])
        expected = theirs(inputs, output_hidden_states=True).hidden_states[-1][0, -4:]
        ours = model.encode("compressor", [ids]).states_BMH[0]
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        theirs.set_adapter("decoder_adapter")
        prompt = model.prompter.question_prompt("Who?", [memory_block(4)])
        ids = [{-1: 0, -2: count + 6}.get(token, token) for token in prompt.ids]
        embedded = theirs.get_input_embeddings()(torch.tensor([ids]))
        embedded[0, torch.tensor(prompt.ids) == -1] = expected
        greedy = int(theirs(inputs_embeds=embedded).logits[0, -1, :count].argmax())
    assert model.answer([prompt], [ours], max_new_tokens=1)[0].ids == (greedy,)


@pytest.mark.parametrize("prefix", ["", "base_model.model."])
def test_23_names_with_peft_s_prefix_or_the_adapter_s_name_are_the_same(released, backbone, prefix):
    adapters, embeddings = released
    renamed = {
        adapter: {
            prefix + name.replace(".weight", f".{adapter}.weight"): t for name, t in tensors.items() if "lora_" in name
        }
        for adapter, tensors in adapters.items()
    }
    ours, theirs = (import_apple(a, embeddings, backbone, CONFIG) for a in (adapters, renamed))
    assert ours.fingerprint("reasoner") == theirs.fingerprint("reasoner")


def test_23_a_missing_or_unexpected_tensor_or_adapter_raises(released, backbone):
    adapters, embeddings = released
    name = next(iter(adapters["decoder_adapter"]))

    def changed(**changes):
        return import_apple({**adapters, **changes}, embeddings, backbone, CONFIG)

    short = {key: tensor for key, tensor in adapters["decoder_adapter"].items() if key != name}
    with pytest.raises(DataError, match="decoder_adapter: 1 tensors missing"):
        changed(decoder_adapter=short)
    with pytest.raises(DataError, match=r"1 tensors unexpected .*norm"):
        changed(decoder_adapter={**adapters["decoder_adapter"], "model.norm.weight": torch.ones(32)})
    with pytest.raises(DataError, match="has shape"):
        changed(decoder_adapter={**adapters["decoder_adapter"], name: torch.ones(4, 32)})
    with pytest.raises(DataError, match="unknown adapter 'default'"):
        changed(default={})
    del adapters["decoder_adapter"]
    with pytest.raises(DataError, match="no decoder_adapter"):
        changed()


def test_another_compression_rate_is_refused(released, backbone):
    config = ModelConfig(adapters=CONFIG.adapters, memory=Memory(rate=4, document_tokens=32))
    with pytest.raises(ConfigError, match=r"4 memory tokens .* asks for 8"):
        import_apple(*released, backbone, config)


def test_pickles_are_read_only_when_allowed(released, backbone, tmp_path):
    adapters, embeddings = released
    torch.save(adapters, tmp_path / "adapters.pth")
    ends = {"model.embed_tokens.weight": embeddings, "lm_head.weight": embeddings}
    torch.save(ends, tmp_path / "decoder_first_last_layers.pth")
    with pytest.raises(ConfigError, match="is a pickle"):
        read_apple(tmp_path)
    model = import_apple(*read_apple(tmp_path, unpickle=True), backbone, CONFIG)
    assert model.fingerprint() == import_apple(adapters, embeddings, backbone, CONFIG).fingerprint()


def test_safetensors_of_the_same_need_no_permission(released, backbone, tmp_path):
    from safetensors.torch import save_file

    adapters, embeddings = released
    flat = {f"{name}.{key}": tensor.clone() for name, tensors in adapters.items() for key, tensor in tensors.items()}
    save_file(flat, tmp_path / "adapters.safetensors")
    save_file({"model.embed_tokens.weight": embeddings}, tmp_path / "decoder_first_last_layers.safetensors")
    model = import_apple(*read_apple(tmp_path), backbone, CONFIG)
    assert model.fingerprint() == import_apple(adapters, embeddings, backbone, CONFIG).fingerprint()


class Intruder:
    def __reduce__(self):
        return (print, ("run",))


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"encoder_adapter": Intruder()}, tmp_path / "adapters.pth")
    with pytest.raises(DataError, match="cannot be read"):
        read_apple(tmp_path, unpickle=True)
    assert capsys.readouterr().out == ""


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"neither adapters.safetensors nor adapters.pth"):
        read_apple(tmp_path)
    (tmp_path / "adapters.pth").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"adapters.pth: not written by torch"):
        read_apple(tmp_path, unpickle=True)
    torch.save([1], tmp_path / "adapters.pth")
    with pytest.raises(DataError, match="holds a list"):
        read_apple(tmp_path, unpickle=True)


@pytest.fixture
def config_file(backbone, tmp_path):
    """A config that names the backbone by its folder."""
    backbone.model.save_pretrained(tmp_path / "backbone")
    backbone.tokenizer.save_pretrained(tmp_path / "backbone")
    file = tmp_path / "mine.toml"
    file.write_text(
        f'description = "random"\n[model.backbone]\nmodel = "{tmp_path / "backbone"}"\n'
        "[model.adapters]\nrank = 2\nalpha = 4\n[model.memory]\nrate = 8\ndocument_tokens = 32\n"
        '[stages.joint]\nstage = "joint"\nsteps = 1\n[data.joint]\n'
    )
    return file


def test_23_published_weights_become_a_checkpoint_that_answers_and_says_that_nobody_verified_it(
    released, config_file, tmp_path
):
    from click.testing import CliRunner

    from clara_bench import Component, Passage, Question, create
    from reference.cli import main

    adapters, embeddings = released
    (tmp_path / "theirs").mkdir()
    torch.save(adapters, tmp_path / "theirs" / "adapters.pth")
    torch.save({"model.embed_tokens.weight": embeddings}, tmp_path / "theirs" / "decoder_first_last_layers.pth")
    given = ["import", str(config_file), str(tmp_path / "theirs"), str(tmp_path / "ours")]
    refused = CliRunner().invoke(main, given)
    assert (refused.exit_code, "is a pickle" in refused.output) == (2, True)
    done = CliRunner().invoke(main, [*given, "--unpickle"])
    assert done.exit_code == 0, done.output
    assert "official weights, unverified" in done.output
    system = create("system", Component("clara", {"checkpoint": str(tmp_path / "ours"), "store": "none", "k": "1"}))
    assert system.traits.weights == "official, unverified"
    system.index({"a": Passage("a", "Oslo", "Oslo is the capital."), "b": Passage("b", "Rome", "Rome is old.")})
    [answer] = system.answer([Question("q", "What is the capital?", ("a", "b"))])
    assert {ranked.passage_id for ranked in answer.retrieved} == {"a", "b"}
    assert answer.usage.context_positions == 5
    options = {"checkpoint": str(tmp_path / "ours"), "store": "none", "max_new_tokens": "4"}
    check_answered(paper_rows("-clara-16x", options, tmp_path / "runs"))
    again = CliRunner().invoke(main, [*given, "--unpickle"])
    assert (again.exit_code, "is there already" in again.output) == (2, True)


def test_apple_s_weights_over_another_backbone_are_refused(released, backbone):
    torch.nn.init.normal_(backbone.model.get_input_embeddings().weight)
    with pytest.raises(DataError, match="another one"):
        import_apple(*released, backbone, CONFIG)


@pytest.mark.parametrize("change", [lambda e: e[:, :16], lambda e: e[:, 0], lambda e: torch.tensor(1.0)])
def test_apple_s_embeddings_of_another_shape_are_refused(released, backbone, change):
    adapters, embeddings = released
    with pytest.raises(DataError, match="shape"):
        import_apple(adapters, change(embeddings), backbone, CONFIG)


@pytest.mark.parametrize(
    "adapter", [5, [torch.ones(2)], {"model.layers.0.self_attn.q_proj.lora_A.weight": 3}, {7: torch.ones(2)}]
)
def test_an_adapter_that_is_no_table_of_tensors_is_refused(released, backbone, adapter):
    adapters, embeddings = released
    with pytest.raises(DataError):
        import_apple({**adapters, "decoder_adapter": adapter}, embeddings, backbone, CONFIG)


@pytest.mark.parametrize("name", ["decoder_adapter", "encoder_adapter"])
def test_an_adapter_that_adds_nothing_is_refused(released, backbone, name):
    adapters, embeddings = released
    idle = {key: torch.zeros_like(t) if "lora_B" in key else t for key, t in adapters[name].items()}
    with pytest.raises(DataError, match=name):
        import_apple({**adapters, name: idle}, embeddings, backbone, CONFIG)


PICKLES = [b"junk", b"\x80\x02K", b"\x80\x02h\x05.", b"\x80\x02.", b"\x80\x02X\x02\x00\x00\x00\xff\xfe.", b""]


@pytest.mark.parametrize("pickle", PICKLES)
def test_a_damaged_pickle_is_refused_in_one_line(tmp_path, pickle):
    with zipfile.ZipFile(tmp_path / "adapters.pth", "w") as file:
        for name, content in {"data.pkl": pickle, "version": b"3", "byteorder": b"little"}.items():
            file.writestr(f"x/{name}", content)
    with pytest.raises(DataError, match=r"adapters\.pth"):
        read_apple(tmp_path, unpickle=True)
