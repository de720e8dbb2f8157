"""Kept keys and values: the same predictions and gradients as reading every prompt whole, with less work."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import torch

from reference.data.row import Row, Turn
from reference.objectives.choosing import per_row
from reference.objectives.stages import Stage
from reference.selection.topk import as_chosen
from reference.weights.initialization import set_out
from tests.reference.trainee import config, new_model, settings_of_model

ROWS = [
    Row("r", ("a1 b2 c3 d4 e5 f6", "b", "c3 c4", "d"), (Turn("Which one is it?", "the third"),), positives=(2,)),
    Row("s", ("u1", "v2 v3 v4 v5", "b"), (Turn("What?", "w"),), positives=(0,)),
]
COUNTS = pytest.mark.parametrize("count", ["nominal", "length"])
KINDS = pytest.mark.parametrize("kind", ["full", "lora"])


def stage_of(estimator: str = "gates", count: str = "nominal", kind: str = "full", attention: str = "block", **changes):
    settings = settings_of_model(kind, rate=2, count=count)
    settings = msgspec.structs.replace(settings, attention=attention)
    selection = {"k": 2, "estimator": estimator, "temperature": 0.1}
    given = {"freeze": ["generator"], "selection": selection} | changes
    train = config(settings, "joint", **given).stages["joint"]
    return Stage(set_out(new_model(settings), train), train)


def total_of(stage: Stage, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    loss = stage(ROWS)
    return loss.cross_entropy.total + loss.extra.total


def slopes(stage: Stage) -> torch.Tensor:
    stage.zero_grad()
    total_of(stage).backward()
    return torch.cat([p.grad.flatten() for p in stage.model.role("reasoner").parameters() if p.grad is not None])


@COUNTS
@KINDS
@pytest.mark.parametrize("estimator", ["gates", "gumbel-mask", "reinforce", "posterior"])
def test_losses_and_gradients_are_those_of_reading_every_prompt_whole(estimator, kind, count):
    stage = stage_of(estimator, count, kind)
    assert stage.choosing.kept is not None
    kept, of_kept = total_of(stage), slopes(stage)
    stage.choosing.kept = None
    torch.testing.assert_close(kept, total_of(stage), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(of_kept, slopes(stage), rtol=1e-3, atol=1e-5)
    assert of_kept.abs().max() > 0 or estimator == "reinforce"  # which earns nothing, untrained


@COUNTS
def test_any_documents_are_read_as_in_a_prompt_of_their_own(count):
    stage = stage_of("reinforce", count).eval()
    batch = stage.prepare(ROWS)
    candidates = stage_candidates(stage, batch)
    for places in itertools.permutations(range(3), 2):
        chosen = as_chosen(torch.tensor([places] * 2), 4)
        whole, stage.choosing.kept = stage.choosing.kept, None
        read = per_row(stage.choosing.read_chosen(batch, candidates, chosen), 2)
        stage.choosing.kept = whole
        torch.testing.assert_close(per_row(stage.choosing.read_chosen(batch, candidates, chosen), 2), read)


def stage_candidates(stage: Stage, batch):
    from reference.objectives.candidates import Candidates

    return Candidates.of(stage.model, batch.rows, stage.remembered)


@pytest.mark.parametrize("mebibytes, runs", [(0, 2), (64, 1)])
def test_keys_and_values_are_kept_for_later_steps_only_as_far_as_there_is_room(mebibytes, runs, monkeypatch):
    from reference.kept import passages

    made = []
    prefilled = passages._prefilled
    monkeypatch.setattr(passages, "_prefilled", lambda *given: made.append(len(given[1])) or prefilled(*given))
    stage = stage_of(kept_mebibytes=mebibytes)
    losses = [total_of(stage).item() for _ in range(2)]
    assert losses[0] == losses[1]
    assert made == [1] + [6] * runs  # the opening; the six different documents of seven


def test_a_generator_that_learns_or_sees_other_passages_reads_every_prompt_whole():
    assert stage_of(freeze=[]).choosing.kept is None
    assert stage_of(attention="causal").choosing.kept is None
    assert stage_of().choosing.kept is not None


def test_straight_through_reads_whole_prompts_because_its_gradient_is_of_memories():
    stage = stage_of("straight-through")
    stage.choosing.kept = None
    unkept = slopes(stage)
    torch.testing.assert_close(slopes(stage_of("straight-through")), unkept)
    assert unkept.abs().max() > 0
