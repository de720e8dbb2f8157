"""The quality of estimators' gradients: exact where it can be worked out by hand, and the command."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import torch
from click.testing import CliRunner

from clara_bench import ConfigError
from reference.cli import main
from reference.data.row import Row, Turn
from reference.lens import gradients
from reference.lens.gradients import ESTIMATORS, compare
from reference.objectives.stages import Stage
from reference.weights.initialization import set_out
from tests.reference.trainee import config, new_model, settings_of_model


def stage_of(k: int, name: str = "joint"):
    settings = msgspec.structs.replace(settings_of_model("full"), attention="block")
    train = config(settings, name, selection={"k": k, "temperature": 0.2}).stages[name]
    return Stage(set_out(new_model(settings), train), train)


ROWS = [
    Row("r", tuple("abcde"), (Turn("Which?", "c"),), positives=(2,)),
    Row("s", tuple("uvw"), (Turn("What?", "w"),), positives=(0, 1)),
]


def test_the_exact_gradient_is_that_of_the_expected_loss_over_single_documents():
    stage = stage_of(1).eval()
    reader = gradients._Reader(stage, ROWS[:1])
    costs_N = torch.stack([reader.losses(torch.tensor([[place]]))[0] for place in range(5)])
    scores_N = reader.scores_BN[0].clone().requires_grad_()
    ((scores_N / 0.2).softmax(0) * costs_N).sum().backward()
    assert torch.allclose(reader.exact()[0], scores_N.grad, rtol=1e-3, atol=1e-6)


def test_the_mean_of_many_draws_points_the_way_of_the_exact_gradient():
    torch.manual_seed(0)
    reader = gradients._Reader(stage_of(1).eval(), ROWS[:1])
    drawn = sum(reader.gradient("reinforce, one draw")[0] for _ in range(300))
    assert torch.nn.functional.cosine_similarity(drawn, reader.exact()[0], dim=0) > 0.9


def test_every_estimator_is_measured_over_the_same_questions_and_the_exact_one_agrees_with_itself():
    found = compare(stage_of(2), ROWS, batch=1)
    assert tuple(found) == ESTIMATORS
    assert {one.questions for one in found.values()} == {2}
    assert found["exact swap"].cosine == pytest.approx(1)
    for one, share in itertools.product(found.values(), ("auc", "raised")):
        assert 0 <= getattr(one, share) <= 1


def test_what_is_measured_does_not_depend_on_how_questions_are_batched():
    torch.manual_seed(0)
    alone, together = (compare(stage_of(2), ROWS, batch=size) for size in (1, 2))
    for name in ESTIMATORS[:4]:
        assert alone[name].cosine == pytest.approx(together[name].cosine, abs=1e-3), name


def test_a_stage_that_chooses_by_labels_has_no_estimator():
    with pytest.raises(ConfigError, match="stage 'supervised' has no estimator"):
        compare(stage_of(1, "supervised"), ROWS)


def test_the_command_measures_a_shipped_checkpoint():
    given = ["gradients", "tiny", "--stage", "gates", "--start", "tiny-8x", "--questions", "2"]
    given += ["--set", "data.gates.passages=400", "--set", "data.gates.candidates=10", "--set", "selection.k=1"]
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 0, found.output
    assert all(name in found.output for name in ESTIMATORS) and "1.000" in found.output
    assert "has no estimator" in CliRunner().invoke(main, [*given[:3], "text", *given[4:6]]).output
