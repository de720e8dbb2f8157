"""What is saved comes back exactly; what does not fit is refused with the reason."""

from __future__ import annotations

import json

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from clara_bench import ConfigError, DataError
from reference.model.backbone import Loaded
from reference.model.clara import Clara
from reference.model.prompts import Encoded, memory_block
from reference.settings.config import Adapters, Backbone, Memory, ModelConfig, Scratch
from reference.settings.shipped import checkpoint_folder
from reference.weights import checkpoint, tensors
from reference.weights.manifest import read_manifest

ROLES = ("compressor", "reasoner", "generator")
SHAPE = Scratch(hidden_size=32, intermediate_size=64, layers=2, heads=2, start="identity")  # that of `tiny`
TEXTS = ["Ann Lee\nAnn Lee is a painter.", "Oslo\nOslo is the capital of Norway, and has been for long."]


def make(backbone, kind="lora", roles=ROLES, scratch=True, **memory):
    config = ModelConfig(
        backbone=Backbone(scratch=SHAPE if scratch else None),
        adapters=Adapters(kind=kind, rank=2, alpha=4),
        memory=Memory(**({"rate": 8, "document_tokens": 32} | memory)),
    )
    model = Clara(backbone, config, roles)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(params=["lora", "full"])
def model(request, tiny):
    return make(tiny, request.param)


def behaviour(model):
    memories = model.compress(TEXTS)
    prompt = model.prompter.question_prompt("Who is it?", [memory_block(4)])
    target = Encoded([*prompt.ids, 5], [*prompt.segments, -1], [-100] * len(prompt) + [5], [0.0] * len(prompt) + [1.0])
    with torch.no_grad():
        queries = model.flatten(model.query(["Who is it?"]))
        logits = model.read([target] * 2, memories).logits_PV
    answers = model.answer([prompt] * 2, memories, max_new_tokens=5)
    return [*memories, queries, logits], [(answer.ids, answer.text) for answer in answers]


def test_22_memories_logits_and_answers_are_the_same_after_loading(model, tmp_path):
    tensors, answers = behaviour(model)
    checkpoint.save(model, tmp_path / "c")
    again = checkpoint.load(tmp_path / "c", rate=8)
    assert again.config == model.config
    loaded, said = behaviour(again)
    assert all(torch.equal(a, b) for a, b in zip(tensors, loaded, strict=True))
    assert answers == said
    assert [again.fingerprint(role) for role in ROLES] == [model.fingerprint(role) for role in ROLES]
    assert not again.training


def test_22_all_roles_come_back_trained(tiny, tmp_path):
    checkpoint.save(make(tiny), tmp_path / "c")
    again = checkpoint.load(tmp_path / "c", backbone=tiny)
    assert tuple(again.roles) == ROLES
    for role in ROLES:
        halves = [tensor for name, tensor in again.role(role).trainable().items() if "lora_B" in name]
        assert halves
        assert all(half.abs().sum() > 0 for half in halves)


def test_22_another_rate_backbone_or_schema_is_refused(tiny, tmp_path):
    folder = tmp_path / "c"
    checkpoint.save(make(tiny), folder)
    with pytest.raises(ConfigError, match="compression rate 8, 16 is asked for"):
        checkpoint.load(folder, rate=16)
    other = Loaded(tiny.model, tiny.tokenizer, "hub:someone/model@abc")
    with pytest.raises(ConfigError, match="this one is hub:someone/model@abc"):
        checkpoint.load(folder, backbone=other)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema": 2}))
    with pytest.raises(ConfigError, match="schema 2, this version reads 1"):
        checkpoint.load(folder)


def test_22_a_missing_role_is_named(tiny, tmp_path):
    checkpoint.save(make(tiny, roles=("compressor", "generator")), tmp_path / "c")
    with pytest.raises(ConfigError, match="no role 'reasoner', only compressor, generator"):
        checkpoint.load(tmp_path / "c", roles=ROLES)
    assert tuple(checkpoint.load(tmp_path / "c", roles=["generator"]).roles) == ("generator",)


def test_nothing_of_a_pretrained_backbone_is_saved(tiny, tmp_path):
    model = make(tiny, scratch=False)
    checkpoint.save(model, tmp_path / "c")
    files = {path.name for path in (tmp_path / "c").iterdir()}
    assert files == {"manifest.json", "memory.safetensors", *(f"{role}.safetensors" for role in ROLES)}
    for role in ROLES:
        assert all("lora_" in name for name in load_file(tmp_path / "c" / f"{role}.safetensors"))
    again = checkpoint.load(tmp_path / "c", backbone=tiny)
    assert again.fingerprint() == model.fingerprint()


def test_a_backbone_from_scratch_travels_with_its_weights(tiny, tmp_path):
    tiny.model.get_input_embeddings().weight.data += 1  # trained since it was drawn from its seed
    model = make(tiny)
    checkpoint.save(model, tmp_path / "c")
    again = checkpoint.load(tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(model.compress(TEXTS), again.compress(TEXTS), strict=True))
    assert again.tokenizer.get_vocab() == tiny.tokenizer.get_vocab()


@pytest.mark.parametrize("name", ["generator.safetensors", "memory.safetensors", "backbone.safetensors"])
def test_a_damaged_or_missing_file_is_named(tiny, tmp_path, name):
    checkpoint.save(make(tiny), tmp_path / "c")
    path = tmp_path / "c" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: damaged"):
        checkpoint.load(tmp_path / "c")
    path.unlink()
    with pytest.raises(DataError, match=f"{name}: cannot be read"):
        checkpoint.load(tmp_path / "c")


def test_weights_that_are_no_numbers_are_named(tmp_path):
    sha256 = tensors.write({"a": torch.ones(3), "b": torch.tensor([1.0, float("nan")])}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"w.safetensors: tensor 'b' holds a number that is not finite"):
        tensors.read(tmp_path / "w.safetensors", sha256)


def test_a_tokenizer_that_cannot_be_read_is_named(tiny, tmp_path):
    checkpoint.save(make(tiny), tmp_path / "c")
    file = tmp_path / "c" / "tokenizer" / "tokenizer.json"
    for content in (b"[" * 100_000, file.read_bytes().replace(b"vocab", b"vocap", 1)):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"tokenizer: no tokenizer can be read: .{1,400}Copy it again"):
            checkpoint.load(tmp_path / "c")


def test_half_precision_halves_the_files_and_keeps_the_model(model, tmp_path):
    for name, dtype in (("whole", None), ("half", "float16")):
        checkpoint.save(model, tmp_path / name, dtype=dtype)
    whole, half = (sum(f.stat().st_size for f in (tmp_path / n).glob("*.safetensors")) for n in ("whole", "half"))
    assert half < 0.7 * whole
    again = checkpoint.load(tmp_path / "half")
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    for ours, theirs in zip(model.compress(TEXTS), again.compress(TEXTS), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)


def test_whole_numbers_of_8_bits_are_within_half_a_step_of_their_row(tmp_path):
    rows = torch.randn(5, 33, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1e-4], [1], [3], [0], [50]])
    kept = {"matrix": rows, "norm": torch.ones(33)}
    sha256 = tensors.write(kept, tmp_path / "w.safetensors", "int8")
    again = tensors.read(tmp_path / "w.safetensors", sha256)
    assert again.keys() == kept.keys()
    assert torch.equal(again["norm"].float(), kept["norm"])
    step = rows.abs().amax(1, keepdim=True) / 127
    assert ((again["matrix"] - rows).abs() <= step / 2 * 1.001).all()


def test_whole_numbers_of_8_bits_quarter_the_files_and_stay_what_they_are_when_saved_again(tmp_path):
    model = checkpoint.load(checkpoint_folder("tiny-text"))
    checkpoint.save(model, tmp_path / "whole", dtype="float32")
    checkpoint.save(model, tmp_path / "once", dtype="int8")
    checkpoint.save(checkpoint.load(tmp_path / "once"), tmp_path / "twice", dtype="int8")
    sizes = {name: (tmp_path / name / "generator.safetensors").stat().st_size for name in ("whole", "once")}
    assert sizes["once"] < 0.28 * sizes["whole"]
    once, twice = (checkpoint.load(tmp_path / name) for name in ("once", "twice"))
    for ours, theirs in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_saving_again_replaces_the_older_checkpoint_and_leaves_nothing_beside_it(tiny, tmp_path):
    model = make(tiny)
    checkpoint.save(model, tmp_path / "c", {"step": 1})
    model.memory.data += 1
    checkpoint.save(model, tmp_path / "c", {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert read_manifest(tmp_path / "c").training == {"step": 2}
    assert torch.equal(checkpoint.load(tmp_path / "c").memory, model.memory)


def test_a_save_that_fails_leaves_the_older_checkpoint(tiny, tmp_path):
    model = make(tiny)
    checkpoint.save(model, tmp_path / "c", {"step": 1})
    with pytest.raises(TypeError):
        checkpoint.save(model, tmp_path / "c", {"step": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert read_manifest(tmp_path / "c").training == {"step": 1}


def test_the_manifest_tells_what_the_weights_are(tiny, tmp_path):
    model = make(tiny)
    checkpoint.save(model, tmp_path / "c", {"command": "clara-reference train debug", "seed": 7})
    manifest = read_manifest(tmp_path / "c")
    assert (manifest.slots, manifest.roles, manifest.backbone) == (4, ROLES, tiny.fingerprint)
    assert manifest.model == model.config
    own = sum(parameter.numel() for parameter in model.role("generator").trainable().values())
    assert manifest.parameters == dict.fromkeys(ROLES, own)
    assert manifest.training["command"] == "clara-reference train debug"
    assert {"torch", "transformers", "peft"} <= set(manifest.packages)


def test_a_text_reader_starts_compressors_of_any_rate(tiny, tmp_path):
    reader = make(tiny, "full", roles=("generator",))
    checkpoint.save(reader, tmp_path / "text")
    backbone = checkpoint.read_backbone(tmp_path / "text")
    model = make(backbone, "full", roles=("generator",), rate=4)
    checkpoint.restore(model, tmp_path / "text", vectors=False)
    model.add_role("compressor", like="generator")
    prompt = model.prompter.question_prompt("Who?", model.prompter.documents(TEXTS))
    assert model.answer([prompt], max_new_tokens=4)[0].ids == reader.answer([prompt], max_new_tokens=4)[0].ids
    assert model.compress(TEXTS)[0].shape == (8, 32)
    with pytest.raises(ConfigError, match="4 memory vectors a document, the model has 8"):
        checkpoint.restore(model, tmp_path / "text", roles=["generator"])


def test_adapters_of_another_kind_or_scale_are_refused(tiny, tmp_path):
    model = make(tiny, "lora")
    checkpoint.save(model, tmp_path / "c")
    with pytest.raises(ConfigError, match=r"its roles are lora of rank 2, .* the model's are full copies"):
        checkpoint.restore(make(tiny, "full"), tmp_path / "c")
    louder = Clara(tiny, msgspec.structs.replace(model.config, adapters=Adapters(rank=2, alpha=8)), ROLES)
    with pytest.raises(ConfigError, match=r"alpha 4, .* alpha 8"):
        checkpoint.restore(louder, tmp_path / "c")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"schema": 1, "model": {"rates": 3}}'])
def test_a_folder_without_a_valid_manifest_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ConfigError) as caught:
        checkpoint.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
