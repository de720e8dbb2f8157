"""Attention gates: the first k are read as in a prompt of their own, and every candidate has a gradient."""

from __future__ import annotations

import msgspec
import pytest
import torch

from reference.data.row import Row, Turn
from reference.model.gated import Gated
from reference.model.layout import SEPARATOR
from reference.objectives.losses import cross_entropy_sum
from reference.objectives.memory_slots import with_memories
from reference.objectives.stages import Stage
from reference.selection.gates import gates
from reference.selection.topk import straight_through_topk
from reference.settings.config import Selection
from reference.weights.initialization import set_out
from tests.reference.trainee import config, new_model, settings_of_model

ATTENTION = pytest.mark.parametrize("attention", ["block", "causal"])
ROW = Row("r", tuple("abcdef"), (Turn("Which one is it?", "the third"),), positives=(2,))


def model_of(attention: str):
    settings = msgspec.structs.replace(settings_of_model("full"), attention=attention)
    return new_model(settings, ("compressor", "generator")).double()


def loss_of(model, memories, number: int, logs=None, k: int = 2) -> torch.Tensor:
    """Cross-entropy of the answer over the first `number` documents, behind gates or read as they are."""
    slots = model.config.memory.slots
    encoded = with_memories(model.prompter.encode(ROW, [[SEPARATOR]] * number, "joint"), [slots] * number)
    gated = None if logs is None else Gated(logs[None], k)
    read = model.read([encoded], [torch.cat(list(memories[:number]))], gates=gated)
    return cross_entropy_sum(read.logits_PV, read.labels_P, read.weights_P).total


@ATTENTION
def test_with_shut_gates_the_first_k_are_read_as_in_a_prompt_of_their_own(attention):
    model, memories = model_of(attention), torch.randn(6, 2, 32, dtype=torch.float64)
    memories = memories[:, : model.config.memory.slots].expand(-1, model.config.memory.slots, -1)
    shut = torch.tensor([0.0, 0, -800, -800, -800, -800], dtype=torch.float64)
    assert torch.allclose(loss_of(model, memories, 6, shut), loss_of(model, memories, 2), rtol=1e-9)
    ajar = torch.tensor([0.0, 0, -1, -1, -1, -1], dtype=torch.float64)
    assert not torch.allclose(loss_of(model, memories, 6, ajar), loss_of(model, memories, 2), rtol=1e-4)


@ATTENTION
def test_the_gradient_of_every_gate_is_what_a_small_change_of_it_does(attention):
    model = model_of(attention)
    memories = torch.randn(6, model.config.memory.slots, 32, dtype=torch.float64)
    logs = torch.tensor([0.0, 0, -2, -2, -2, -2], dtype=torch.float64, requires_grad=True)
    loss_of(model, memories, 6, logs).backward()
    step = 1e-2  # cross-entropy is summed in fp32
    for place in range(6):
        with torch.no_grad():
            moved = [logs + step * sign * torch.eye(6, dtype=torch.float64)[place] for sign in (1, -1)]
            slope = (loss_of(model, memories, 6, moved[0]) - loss_of(model, memories, 6, moved[1])) / (2 * step)
        assert logs.grad[place] == pytest.approx(slope.item(), rel=1e-2, abs=1e-4)
        assert logs.grad[place] != 0


def test_gates_are_open_for_the_k_best_and_shut_to_the_floor_for_the_others():
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.7]])
    found = gates(scores, 2, 0.1, 0.05)
    assert found.order_BN.tolist() == [[1, 3, 2, 0]]
    assert torch.allclose(found.logs_BN.exp(), torch.tensor([[1.0, 1.0, 0.05, 0.05]]))


def test_the_gradient_of_a_gate_is_that_of_the_expected_inclusion():
    scores = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    found = gates(scores, 2, 0.5, 0.1)
    weight = torch.randn(3, 6, dtype=torch.float64)
    (found.logs_BN.exp() * weight).sum().backward()
    mine, scores.grad = scores.grad, None
    soft = straight_through_topk(scores, 2, 0.5).weights_BKN.sum(1).gather(1, found.order_BN)
    (0.9 * soft * weight).sum().backward()
    assert torch.allclose(mine, scores.grad) and mine.abs().min() > 0


def test_padding_comes_last():
    mask = torch.tensor([[True, True, True, False]])
    assert gates(torch.tensor([[0.1, 0.2, 0.3, 0.9]]), 2, 0.1, 0.1, mask).order_BN.tolist() == [[2, 1, 0, 3]]


@ATTENTION
@pytest.mark.parametrize("freeze", [[], ["generator"]])
def test_a_stage_of_gates_teaches_the_reasoner_from_documents_it_does_not_read(attention, freeze):
    settings = msgspec.structs.replace(settings_of_model("full"), attention=attention)
    chosen = {"k": 2, "estimator": "gates", "temperature": 0.1}
    train = config(settings, "joint", selection=chosen, freeze=freeze).stages["joint"]
    stage = Stage(set_out(new_model(settings), train), train)
    rows = [ROW, Row("s", tuple("uvw"), (Turn("What?", "w"),), positives=(0,))]
    batch = stage.prepare(rows)
    assert [row.ids.count(SEPARATOR) for row in batch.encoded] == [6, 3]
    loss = stage(batch).cross_entropy
    loss.total.backward()
    moved = {name: any(p.grad is not None and p.grad.any() for p in stage.model.role(name).parameters())
             for name in stage.model.roles}  # fmt: skip
    assert moved == {"compressor": False, "reasoner": True, "generator": not freeze}


def test_the_floor_is_part_of_the_config():
    assert Selection(estimator="gates").gate_floor == 0.1
    with pytest.raises(msgspec.ValidationError, match="gate_floor"):
        msgspec.convert({"gate_floor": 0}, Selection)
