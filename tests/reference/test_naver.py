"""Weights laid out as naver's PISCO and COCOM become ours, and compress and read as the released code does."""

from __future__ import annotations

import copy
import json
import warnings

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from clara_bench import BackendError, Component, ConfigError, DataError, Passage, Question, create
from clara_bench.cli import main as bench
from reference.cli import main
from reference.model.templates import PISCO_SYSTEM as SYSTEM
from reference.published.convert import convert_naver
from reference.published.naver import read_naver
from reference.systems.answering import latent_prompt
from reference.systems.serving import Weights
from tests.paper import check_answered, paper_rows

NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not "
    "supported') }}{% endif %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %}"
    "{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
TEXTS = ["Oslo\nOslo is the capital of Norway.", "Rome\nRome is old."]


@pytest.fixture
def words(tokenizer):
    """As a chat model's tokenizer: bos is not eos."""
    chatty = copy.deepcopy(tokenizer)
    chatty.add_special_tokens({"bos_token": "<s>"})
    chatty.chat_template = NO_SYSTEM
    return chatty


@pytest.fixture
def backbone(words, tmp_path):
    """A folder with a tiny Mistral."""
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(**shape, num_key_value_heads=2, vocab_size=len(words)))
    model.save_pretrained(tmp_path / "backbone")
    words.save_pretrained(tmp_path / "backbone")
    return tmp_path / "backbone"


class Released:
    """A model as the released code builds it over the backbone, and what it computes, without anything of ours."""

    def __init__(self, backbone, words, method):
        from peft import LoraConfig, get_peft_model
        from transformers import MistralForCausalLM

        memories = [f"<MEM{n}>" for n in range(4)] if method == "pisco" else ["<MEM>"]
        self.words, self.memories = copy.deepcopy(words), memories if method == "pisco" else memories * 4
        self.words.add_special_tokens({"additional_special_tokens": [*memories, "<AE>", "<ENC>", "<SEP>"]})
        self.model = MistralForCausalLM.from_pretrained(backbone, dtype=torch.float32)
        self.model.resize_token_embeddings(len(self.words), mean_resizing=False)
        self.method, settings = method, {"r": 2, "lora_alpha": 4, "target_modules": "all-linear"}
        lora = LoraConfig(**settings, task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # two adapters is what is meant
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")  # PEFT asks for it
            if method == "cocom":
                self.model = get_peft_model(self.model, lora)
            else:
                self.model.add_adapter(lora, "decoder_adapter")
                self.model.add_adapter(lora, "encoder_adapter")
        torch.manual_seed(1)
        for name, parameter in self.model.named_parameters():
            if "lora_" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape)
        self.model.eval()

    def save(self, folder, backbone, **changes):
        folder.mkdir()
        own = {"different_mem_tokens": True, "doc_max_length": 32, "training_form": "both_separately"}
        settings = {"decoder_model_name": str(backbone), "compr_rate": 8, "sep": True, "lora": True, "lora_r": 2,
                    "compr_model_name": None, "model_type": "COCOM", **(own if self.method == "pisco" else {}),
                    **changes}  # fmt: skip
        (folder / "config.json").write_text(json.dumps(settings))
        if self.method == "cocom":
            state = {f"decoder.{name}": tensor.contiguous() for name, tensor in self.model.state_dict().items()}
            names = sorted(state)
            for part, chosen in enumerate([names[::2], names[1::2]], 1):
                save_file({name: state[name] for name in chosen}, folder / f"model-0000{part}-of-00002.safetensors")
            return folder
        adapters = ("decoder_adapter", "encoder_adapter")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting `save_embedding_layers`")  # both matrices beside each adapter
            states = {name: self.model.get_adapter_state_dict(name) for name in adapters}
        ends = {n: p.data for n, p in self.model.named_parameters() if "embed_tokens" in n or "lm_head.weight" in n}
        torch.save(states, folder / "adapters.pth")
        torch.save(ends, folder / "decoder_first_last_layers.pth")
        return folder

    def _use(self, adapter):
        if self.method == "pisco":
            self.model.set_adapter(adapter)

    @torch.no_grad()
    def memory(self, text, slots):
        self._use("encoder_adapter")
        wrapped = f"<ENC><s>{text}<end>" + "".join(self.memories[:slots])
        ids = self.words(wrapped, add_special_tokens=False, return_tensors="pt")["input_ids"]
        return self.model(ids, output_hidden_states=True).hidden_states[-1][0, -slots:]

    def prompt(self, question, counts):
        slots = "".join("".join(self.memories[:count]) + "<SEP>" for count in counts)
        if self.method == "cocom":
            text = f"<s>{slots}[INST]{question}\n[/INST]\n"
        else:
            user = {"role": "user", "content": f"{SYSTEM}\nBackground:\n{slots}\n\nQuestion:{question}"}
            text = self.words.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        return self.words(text, add_special_tokens=False)["input_ids"]

    @torch.no_grad()
    def answer(self, question, memories, most):
        self._use("decoder_adapter")
        ids = torch.tensor(self.prompt(question, [len(memory) for memory in memories]))
        embedded = self.model.get_input_embeddings()(ids[None])
        places = torch.isin(ids, torch.tensor(self.words.convert_tokens_to_ids(sorted(set(self.memories)))))
        embedded[0, places] = torch.cat(memories)
        out = self.model.generate(
            inputs_embeds=embedded, attention_mask=torch.ones(1, len(ids)), max_new_tokens=most, do_sample=False,
            pad_token_id=self.words.pad_token_id, eos_token_id=self.words.eos_token_id,
        )  # fmt: skip
        return [token for token in out[0].tolist() if token != self.words.eos_token_id]


@pytest.fixture(params=["pisco", "cocom"])
def released(request, backbone, words):
    return Released(backbone, words, request.param)


@pytest.fixture
def folder(released, backbone, tmp_path):
    return released.save(tmp_path / "theirs", backbone)


def load(folder, **options):
    return read_naver(folder, dtype="float32", unpickle=True, **options)


def slots(released, model, text):
    count = len(model.prompter.document(text))
    return 4 if released.method == "pisco" else -(-count // 8)


def test_memories_are_those_of_the_released_layout(released, folder):
    model = load(folder)
    assert model.config.backbone.template == released.method
    found = model.compress(TEXTS)
    assert len({len(memory) for memory in found}) == (1 if released.method == "pisco" else 2)
    for text, memory in zip(TEXTS, found, strict=True):
        expected = released.memory(text, slots(released, model, text))
        torch.testing.assert_close(memory, expected, rtol=1e-4, atol=1e-5)


def test_a_long_document_is_cut_as_the_released_code_cuts_it(released, folder):
    model = load(folder)
    text = "Oslo is the capital of Norway and Rome is old. " * 40
    longest = model.config.memory.document_tokens
    ids = released.words(f"<ENC><s>{text}<end>", add_special_tokens=False)["input_ids"][: longest + 3]
    memories = released.words.convert_tokens_to_ids(released.memories[:1] if released.method == "cocom" else [])
    memories = memories * model.config.memory.slots or released.words.convert_tokens_to_ids(released.memories)
    released._use("encoder_adapter")
    with torch.no_grad():
        states = released.model(torch.tensor([[*ids, *memories]]), output_hidden_states=True).hidden_states[-1]
    [found] = model.compress([text])
    torch.testing.assert_close(found, states[0, -len(memories) :], rtol=1e-4, atol=1e-5)


def test_prompts_and_answers_are_those_of_the_released_layout(released, folder):
    model = load(folder)
    memories = model.compress(TEXTS)
    reading = latent_prompt(Weights("", ("generator",), model=model), "Who rules Oslo?", memories, [1, 1])
    theirs = released.prompt("Who rules Oslo?", [len(memory) for memory in memories])
    specials = set(released.words.convert_tokens_to_ids([*released.memories, "<SEP>"]))
    assert [token if token >= 0 else None for token in reading.prompt.ids] == [
        None if token in specials else token for token in theirs
    ]
    [said] = model.answer([reading.prompt], [reading.memories_SH], max_new_tokens=8)
    assert list(said.ids) == released.answer("Who rules Oslo?", memories, 8)


def change(folder, tensors):
    """Rewrite the file of weights that holds adapters."""
    if (folder / "adapters.pth").is_file():
        file = folder / "adapters.pth"
        read = torch.load(file, weights_only=True)
        tensors(read["decoder_adapter"])
        torch.save(read, file)
        return
    file = min(folder.glob("*.safetensors"))
    read = load_file(file)
    tensors(read)
    save_file(read, file)


def first(read):
    return next(name for name in sorted(read) if "lora_A" in name)


def refused(folder, error, match):
    with pytest.raises(error, match=match):
        load(folder)
    done = CliRunner().invoke(main, ["import-naver", str(folder), str(folder.parent / "out"), "--unpickle"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output


def test_a_missing_adapter_tensor_is_refused(folder):
    change(folder, lambda read: read.pop(first(read)))
    refused(folder, DataError, r"1 tensors missing")


def test_an_unexpected_tensor_is_refused(folder):
    change(folder, lambda read: read.update(another=torch.ones(2)))
    refused(folder, DataError, r"unexpected")


def test_a_tensor_of_another_shape_is_refused(folder):
    change(folder, lambda read: read.update({first(read): torch.ones(3, 32)}))
    refused(folder, DataError, r"has shape \(3, 32\)")


def test_weights_over_another_backbone_are_refused(folder, backbone):
    from transformers import MistralForCausalLM

    model = MistralForCausalLM.from_pretrained(backbone)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(backbone)
    refused(folder, DataError, "trained over another one")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"compr_model_name": "google-bert/bert-base-uncased"}, "COCOM-light, OSCAR"),
        ({"lora": False}, "lora is false"),
        ({"sep": False}, "sep is false"),
        ({"kbtc_training": True}, "kbtc_training"),
        ({"compr_rate": 4000}, "leaves no memory vector"),
    ],
)
def test_other_kinds_of_checkpoints_are_refused(released, backbone, tmp_path, changes, match):
    refused(released.save(tmp_path / "theirs", backbone, **changes), ConfigError, match)


def test_settings_that_lack_something_are_refused(folder):
    (folder / "config.json").write_text('{"decoder_model_name": "a/b"}')
    refused(folder, DataError, "compr_rate")


def test_a_missing_part_of_cocom_is_refused(backbone, words, tmp_path):
    folder = Released(backbone, words, "cocom").save(tmp_path / "theirs", backbone)
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, DataError, r"tensors missing \(such as")


def test_another_rate_than_pisco_s_memory_tokens_is_refused(backbone, words, tmp_path):
    folder = Released(backbone, words, "pisco").save(tmp_path / "theirs", backbone, compr_rate=4)
    refused(folder, ConfigError, r"4 memory tokens .* asks for 8")


def test_pickles_are_read_only_when_allowed(backbone, words, tmp_path):
    folder = Released(backbone, words, "pisco").save(tmp_path / "theirs", backbone)
    with pytest.raises(ConfigError, match="is a pickle"):
        read_naver(folder)


def test_an_empty_folder_and_a_name_that_cannot_be_fetched_are_errors(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text(
        '{"decoder_model_name": "a", "compr_rate": 8, "sep": true, "lora": true, "lora_r": 2}'
    )
    with pytest.raises(DataError, match=r"neither adapters\.pth"):
        convert_naver(str(tmp_path / "empty"), tmp_path / "out")
    with pytest.raises(BackendError, match="nobody/nothing"):
        convert_naver("nobody/nothing", tmp_path / "out")


def test_published_weights_run_from_end_to_end_under_their_own_name(released, folder, tmp_path):
    done = CliRunner().invoke(main, ["import-naver", str(folder), str(tmp_path / "ours"), "--unpickle"])
    assert done.exit_code == 0, done.output
    assert "compressor, generator; official weights, unverified" in done.output
    weights = Weights(str(tmp_path / "ours"), ("generator",))
    assert weights.answer("born in Oslo ; raised in Rome") == "born in Oslo ; raised in Rome"
    options = {"checkpoint": str(tmp_path / "ours"), "retriever": "bm25", "store": "none", "k": "2", "device": "cpu"}
    system = create("system", Component("clara", options))
    assert (system.traits.compressor, system.traits.weights) == (released.method, "official, unverified")
    system.index({"a": Passage("a", "Oslo", "Oslo is the capital."), "b": Passage("b", "Rome", "Rome is old.")})
    [answer] = system.answer([Question("q", "What is the old capital?")])
    assert answer.usage.context_positions == sum(len(memory) + 1 for memory in load(folder).compress(
        ["Oslo\nOslo is the capital.", "Rome\nRome is old."]
    ))  # fmt: skip
    world = ["--world", "questions=4", "--world", "passages=200", "--setting", "distractor"]
    command = ["run", "-t", "hotpotqa", "-s", "clara", *world, "--out", str(tmp_path / "runs"), "--label", "theirs"]
    given = [f"{key}={value}" for key, value in {**options, "max_new_tokens": "4"}.items()]
    ran = CliRunner().invoke(bench, [*command, *(word for pair in given for word in ("-o", pair))])
    assert ran.exit_code == 0, ran.output
    [run] = (tmp_path / "runs" / "hotpotqa" / "theirs").iterdir()
    assert "official, unverified" in (run / "manifest.json").read_text(encoding="utf-8")
    statuses = json.loads((run / "scores.json").read_text(encoding="utf-8"))["statuses"]
    assert sum(statuses.values()) == 4
    assert not {"error", "out-of-memory", "missing"} & statuses.keys()


def test_the_row_of_the_paper_s_table_runs_over_weights_in_the_published_layout(released, folder, tmp_path):
    convert_naver(str(folder), tmp_path / "ours", unpickle=True)
    options = {"checkpoint": str(tmp_path / "ours"), "store": "none", "device": "cpu", "max_new_tokens": "4"}
    check_answered(paper_rows(f"-{released.method}", options, tmp_path / "runs"))


def test_settings_that_are_not_utf_8_and_scalar_embeddings_are_refused(backbone, words, tmp_path):
    made = Released(backbone, words, "cocom").save(tmp_path / "theirs", backbone)
    config = (made / "config.json").read_bytes()
    (made / "config.json").write_bytes(b'{"decoder_model_name": "\xff"}')
    with pytest.raises(DataError, match=r"config\.json"):
        read_naver(made, dtype="float32")
    (made / "config.json").write_bytes(config)
    for file in made.glob("*.safetensors"):
        tensors = load_file(file)
        save_file({n: torch.tensor(1.0) if "embed_tokens.weight" in n else t for n, t in tensors.items()}, file)
    with pytest.raises(DataError, match="shape"):
        read_naver(made, dtype="float32")
