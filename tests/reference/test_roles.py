"""Roles share a frozen backbone, differ in their adapters, and never switch."""

from __future__ import annotations

import pytest
import torch

from clara_bench import DataError
from reference.model.roles import copy_role, load_state, make_role, make_roles, state
from reference.settings.config import Adapters

NAMES = ("compressor", "reasoner", "generator")


@pytest.fixture
def lora(tiny):
    return make_roles(tiny.model, Adapters(rank=2, alpha=4), NAMES)


@pytest.fixture
def full(tiny):
    return make_roles(tiny.model, Adapters(kind="full"), NAMES)


def disturb(role, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in role.trainable().values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def embeddings(role):
    return role.embed(torch.arange(24).view(2, 12))


def test_lora_roles_hold_the_very_same_backbone_parameters(tiny, lora):
    shared = {id(parameter) for parameter in tiny.model.parameters()}
    for role in lora.values():
        held = {id(parameter) for parameter in role.parameters()}
        own = {id(parameter) for parameter in role.trainable().values()}
        assert held - own == shared
    everything = sum(parameter.numel() for parameter in lora.parameters())
    backbone = sum(parameter.numel() for parameter in tiny.model.parameters())
    own = [sum(parameter.numel() for parameter in role.trainable().values()) for role in lora.values()]
    assert everything == backbone + sum(own)
    assert own == [own[0]] * 3


def test_lora_goes_to_every_linear_layer_but_the_head(tiny, lora):
    layers = tiny.model.config.num_hidden_layers
    projections = {name.split(".lora_")[0].rsplit(".", 1)[1] for name in lora["compressor"].own}
    assert projections == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert len(lora["compressor"].own) == layers * 7 * 2


def test_full_roles_share_nothing(tiny, full):
    held = [{id(parameter) for parameter in role.parameters()} for role in full.values()]
    held.append({id(parameter) for parameter in tiny.model.parameters()})
    assert not any(held[a] & held[b] for a in range(4) for b in range(a))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_untrained_roles_compute_what_the_backbone_does(tiny, kind):
    ids = torch.arange(24).view(2, 12)
    with torch.no_grad():
        expected = tiny.model(ids, output_hidden_states=True)
        role = make_role(tiny.model, Adapters(kind=kind), "reasoner").eval()
        states, _ = role(role.embed(ids))
    assert torch.equal(states, expected.hidden_states[-1])
    assert torch.equal(role.logits(states), expected.logits)


def test_a_role_learns_without_touching_another_or_the_backbone(tiny, lora):
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    others = {name: embeddings_out(lora[name]) for name in ("reasoner", "generator")}
    disturb(lora["compressor"])
    assert not torch.equal(embeddings_out(lora["compressor"]), others["reasoner"])
    for name, out in others.items():
        assert torch.equal(embeddings_out(lora[name]), out)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.model.state_dict().items())


def embeddings_out(role):
    role.eval()
    with torch.no_grad():
        return role(embeddings(role))[0]


def test_freezing_stops_a_role_and_the_backbone_never_learns(lora):
    lora["compressor"].freeze()
    learning = {name for name, parameter in lora.named_parameters() if parameter.requires_grad}
    assert learning
    assert all("lora_" in name and not name.startswith("compressor.") for name in learning)
    lora["compressor"].freeze(False)
    assert any(parameter.requires_grad for parameter in lora["compressor"].parameters())
    assert not any(parameter.requires_grad for name, parameter in lora.named_parameters() if "lora_" not in name)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_copied_role_is_exactly_the_other_and_goes_its_own_way_afterwards(tiny, kind):
    roles = make_roles(tiny.model, Adapters(kind=kind), NAMES)
    disturb(roles["compressor"])
    assert not torch.equal(embeddings_out(roles["reasoner"]), embeddings_out(roles["compressor"]))
    copy_role(roles["compressor"], roles["reasoner"])
    same = embeddings_out(roles["compressor"])
    assert torch.equal(embeddings_out(roles["reasoner"]), same)
    disturb(roles["reasoner"], seed=1)
    assert torch.equal(embeddings_out(roles["compressor"]), same)


def test_adapters_are_named_as_peft_names_them_in_files(tiny):
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    role = make_role(tiny.model, Adapters(rank=2), "compressor")
    settings = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # peft 0.21 under transformers 5.23
        other = get_peft_model(tiny.model, settings)
    theirs = get_peft_model_state_dict(other, save_embedding_layers=False)
    assert {name: tensor.shape for name, tensor in state(role).items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_states_with_missing_unexpected_or_misshapen_tensors_are_refused(lora):
    weights = dict(state(lora["compressor"]))
    name = sorted(weights)[0]
    whole = dict(weights)
    del weights[name]
    with pytest.raises(DataError, match=rf"1 tensors missing .*{name}"):
        load_state(lora["reasoner"], weights)
    with pytest.raises(DataError, match=r"1 tensors unexpected .*intruder"):
        load_state(lora["reasoner"], {**whole, "intruder": torch.zeros(1)})
    with pytest.raises(DataError, match="has shape"):
        load_state(lora["reasoner"], {**whole, name: torch.zeros(1)})


def test_a_seed_decides_adapters_and_roles_draw_their_own(tiny):
    draws = [make_role(tiny.model, Adapters(), name, seed) for name, seed in (("reasoner", 0), ("reasoner", 0))]
    draws += [make_role(tiny.model, Adapters(), "reasoner", 1), make_role(tiny.model, Adapters(), "generator", 0)]
    first, again, seeded, other = (next(iter(state(role).values())) for role in draws)
    assert torch.equal(first, again)
    assert not torch.equal(first, seeded)
    assert not torch.equal(first, other)


def test_drawing_adapters_leaves_the_global_generator_alone(tiny):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_role(tiny.model, Adapters(), "compressor")
    assert torch.equal(torch.rand(3), expected)


def test_rotary_frequencies_stay_float32_in_a_bfloat16_model(tiny):
    role = make_role(tiny.model, Adapters(kind="full"), "generator")
    before = {name: buffer.clone() for name, buffer in role.named_buffers() if "inv_freq" in name}
    role.to(torch.bfloat16)
    after = {name: buffer for name, buffer in role.named_buffers() if "inv_freq" in name}
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in after.items())
    assert next(role.parameters()).dtype == torch.bfloat16


def test_adapters_over_a_bfloat16_backbone_are_float32(tiny):
    role = make_role(tiny.model.to(torch.bfloat16), Adapters(), "generator")
    assert {parameter.dtype for parameter in role.trainable().values()} == {torch.float32}
    assert role(embeddings(role))[0].dtype == torch.bfloat16
