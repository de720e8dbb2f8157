"""What a stage takes over from the one before, and what it must not."""

from __future__ import annotations

import msgspec
import pytest
import torch

from clara_bench import ConfigError
from reference.model.roles import state
from reference.settings.config import RETRIEVING, ROLES
from reference.training.loop import train
from reference.weights import checkpoint
from reference.weights.initialization import NEEDS, begin, set_out
from tests.reference.trainee import Pairs, config, new_model, settings_of_model


def learned(kind="full", roles=("compressor", "generator"), **memory):
    """A model whose roles are all different."""
    model = new_model(settings_of_model(kind, **memory), roles)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for role in roles:
            for parameter in model.role(role).trainable().values():
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return model


def changed(model_config, setting, value):
    """The settings of a model with another one, such as `memory.rate`."""
    table, _, name = setting.rpartition(".")
    inner = getattr(model_config, table) if table else model_config
    inner = msgspec.structs.replace(inner, **{name: value})
    return msgspec.structs.replace(model_config, **{table: inner}) if table else inner


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_stage_takes_over_what_the_one_before_has_learned():
    text = learned(roles=("generator",))
    model = set_out(text, config(text.config, "pretrain").stages["pretrain"])
    assert same(state(model.role("compressor")), state(model.role("generator")))
    joint = set_out(model, config(text.config, "joint").stages["joint"])
    assert same(state(joint.role("reasoner")), state(joint.role("compressor")))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_roles_start_anew_if_so_asked(kind):
    model = learned(kind)
    before = {name: value.clone() for name, value in state(model.role("generator")).items()}
    set_out(model, config(model.config, "joint", reasoner_start="random", generator_start="fresh").stages["joint"])
    assert not same(state(model.role("reasoner")), state(model.role("compressor")))
    fresh = state(model.role("generator"))
    assert not any(torch.equal(fresh[name], value) for name, value in before.items())


def test_retrieval_needs_a_compressor_that_was_trained():
    model = new_model(settings_of_model(), ("generator",))
    for name in RETRIEVING:
        with pytest.raises(ConfigError, match="set `start` to a checkpoint"):
            set_out(model, config(model.config, name).stages[name])


def test_a_text_reader_starts_a_compressor_of_any_rate_and_that_one_starts_the_reasoner(tmp_path):
    reader = new_model(settings_of_model("full"), ("generator",))
    train(config(reader.config, "text", steps=2), "text", Pairs(1), tmp_path / "text", reader)
    other = settings_of_model("full", rate=4)
    start = config(other, "pretrain", start=str(tmp_path / "text" / "best"), steps=2)
    begun = begin(start, "pretrain")
    assert begun.config.memory.slots == 4
    for role in ("compressor", "generator"):
        assert same(state(begun.role(role)), state(reader.role("generator")))
    train(start, "pretrain", Pairs(1), tmp_path / "pretrain")
    joint = begin(config(other, "joint", start=str(tmp_path / "pretrain" / "best")), "joint")
    assert same(state(joint.role("reasoner")), state(joint.role("compressor")))
    assert torch.equal(joint.memory, checkpoint.load(tmp_path / "pretrain" / "best").memory)


OTHER = {
    "attention": "block",
    "backbone.template": "chat",
    "memory.document_tokens": 20,
    "memory.rate": 7,
    "memory.count": "length",
    "memory.positions": "spread",
    "memory.form": "pooled",
    "memory.layers": 1,
    "memory.mask": "bidirectional",
    "memory.segment_tokens": 20,
    "memory.similarity": "centred",
}


def test_every_setting_that_a_role_needs_is_tried_here():
    assert set(NEEDS) == set(ROLES)
    assert {setting for settings in NEEDS.values() for setting in settings} == set(OTHER)


@pytest.mark.parametrize("setting", OTHER)
def test_weights_that_learned_under_another_setting_are_refused_and_both_values_named(setting, tmp_path):
    model = learned(roles=ROLES)
    checkpoint.save(model, tmp_path / "c")
    found = model.config
    for name in setting.split("."):
        found = getattr(found, name)
    other = changed(model.config, setting, OTHER[setting])
    assert model.config.memory.slots == other.memory.slots  # so that nothing else is wrong
    said = rf"model\.{setting} = {found!r}, the config says {OTHER[setting]!r}\. Set model\.{setting} to {found!r}"
    with pytest.raises(ConfigError, match=said):
        begin(config(other, "joint", start=str(tmp_path / "c")), "joint")
    begin(config(model.config, "joint", start=str(tmp_path / "c")), "joint")


def test_a_reader_of_text_starts_any_rate_and_length_of_documents(tmp_path):
    checkpoint.save(learned(roles=("generator",)), tmp_path / "c")
    other = settings_of_model("full", rate=4, document_tokens=24, count="length", similarity="mean")
    begun = begin(config(other, "pretrain", start=str(tmp_path / "c")), "pretrain")
    assert begun.config == other and begun.memory.shape == (6, 32)


def test_a_generator_that_starts_anew_may_read_in_another_way(tmp_path):
    model = learned()
    checkpoint.save(model, tmp_path / "c")
    other = changed(model.config, "attention", "block")
    begun = begin(config(other, "instruct", start=str(tmp_path / "c"), generator_start="fresh"), "instruct")
    assert same(state(begun.role("compressor")), state(model.role("compressor")))


def test_a_compressor_starts_one_of_a_higher_rate_if_so_asked(tmp_path):
    model = learned(roles=("compressor", "generator"))
    checkpoint.save(model, tmp_path / "c")
    slots = model.config.memory.slots
    other = changed(model.config, "memory.rate", model.config.memory.document_tokens // (slots // 2))
    asked = {"start": str(tmp_path / "c"), "compressor_start": "thinned"}
    begun = begin(config(other, "pretrain", **asked), "pretrain")
    assert torch.equal(begun.memory, model.memory[1::2]) and len(begun.memory) == slots // 2
    assert same(state(begun.role("compressor")), state(model.role("compressor")))
    with pytest.raises(ConfigError, match="trains no compressor"):
        begin(config(other, "joint", **asked), "joint")
    lower = changed(model.config, "memory.rate", 1)
    with pytest.raises(ConfigError, match="memory vectors a document"):
        begin(config(lower, "pretrain", **asked), "pretrain")


@pytest.mark.parametrize("similarity", ["centred", "mean", "late"])
def test_similarity_may_change_until_a_reasoner_has_learned_under_it(similarity, tmp_path):
    model = learned()
    checkpoint.save(model, tmp_path / "c")
    other = changed(model.config, "memory.similarity", similarity)
    begun = begin(config(other, "joint", start=str(tmp_path / "c")), "joint")
    assert begun.config.memory.similarity == similarity and not begun.centres.any()
    assert same(state(begun.role("reasoner")), state(model.role("compressor")))
