"""A reader of text teaches the generator what to say at each target token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from clara_bench import ConfigError
from reference.objectives.stages import Stage
from reference.objectives.teaching import divergence
from reference.settings.config import Config
from reference.training.checks import check_stage
from reference.training.loop import train
from reference.weights import checkpoint
from reference.weights.initialization import set_out, started, teacher_of
from tests.reference.trainee import Pairs, config, documents_of, new_model, settings_of_model

ROWS = [Pairs(2)[place] for place in range(6)]


def taught(folder: Path, stage: str = "instruct", **changes) -> Config:
    """A config whose stage learns from an untrained reader of text with other weights, saved in the folder."""
    model = settings_of_model("full")
    if not folder.exists():
        checkpoint.save(new_model(model, ("generator",), seed=3), folder)
    return config(model, stage, teacher=str(folder), **changes)


def stage_of(settings: Config, name: str = "instruct", seed: int = 0) -> Stage:
    model = set_out(new_model(settings.model, ("compressor", "generator"), seed), settings.stages[name])
    return Stage(model, settings.stages[name], None, teacher_of(settings, name, model)).eval()


def stirred(stage: Stage) -> Stage:
    with torch.no_grad():
        for parameter in stage.model.role("generator").trainable().values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return stage


def test_the_divergence_is_zero_of_equal_predictions_and_the_textbooks_sum_of_others():
    stage = stirred(stage_of(config(settings_of_model("full"), "text"), "text"))
    batch = stage.prepare(ROWS)
    one = stage.model.read(batch.encoded)
    assert float(divergence(one, one).total.detach()) == 0
    other = one._replace(logits_PV=one.logits_PV.detach() * 0.5)
    found = divergence(other, one)
    p, q = other.logits_PV.softmax(-1), one.logits_PV.softmax(-1)
    by_hand = ((p * (p / q).log()).sum(-1) * one.weights_P).sum()
    assert float(found.total.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-4) and found.total > 0
    assert float(found.weight) == pytest.approx(batch.weight)


@pytest.mark.parametrize("name", ["instruct", "pretrain"])
def test_the_teacher_reads_the_same_targets_with_the_documents_as_text(tmp_path: Path, name: str):
    stage = stage_of(taught(tmp_path / "teacher", name), name)
    rows = [Pairs(documents_of(name))[place] for place in range(4)]
    batch = stage.prepare(rows)
    assert len(batch.as_text) == len(rows) and not any(-1 in row.ids for row in batch.as_text)
    loss = stage(batch)
    assert loss.logs["divergence"].total > 0 and float(loss.logs["answers"].weight) == pytest.approx(batch.weight)


def test_the_loss_is_the_cross_entropy_and_the_divergence_by_their_shares(tmp_path: Path):
    settings = taught(tmp_path / "teacher", teacher_weight=0.3)
    stage = stirred(stage_of(settings))
    loss = stage(ROWS)
    answers, apart = loss.logs["answers"].total, loss.logs["divergence"].total
    assert float(loss.cross_entropy.total.detach()) == pytest.approx(float(0.7 * answers + 0.3 * apart), rel=1e-5)
    alone = stirred_as(stage, config(settings.model, "instruct"))
    assert float(alone(ROWS).cross_entropy.total.detach()) == pytest.approx(float(answers), rel=1e-5)
    assert "divergence" not in alone(ROWS).logs


def stirred_as(stage: Stage, settings: Config) -> Stage:
    """The same weights in a stage without a teacher."""
    other = stage_of(settings)
    other.model.load_state_dict(stage.model.state_dict())
    return other


def test_the_teacher_stays_as_it_is_and_is_no_part_of_what_is_saved_or_optimised(tmp_path: Path):
    settings = taught(tmp_path / "teacher")
    stage = stage_of(settings)
    teacher = teacher_of(settings, "instruct", stage.model)
    own = {parameter.data_ptr() for parameter in stage.parameters()}
    assert teacher is not None and not own & {one.data_ptr() for one in teacher.parameters()}
    assert not any("teacher" in name for name in stage.state_dict())
    loss = stage(ROWS)
    loss.cross_entropy.total.backward()
    assert stage._teacher is not None
    assert all(parameter.grad is None for parameter in stage._teacher.model.parameters())
    assert any(parameter.grad is not None for parameter in stage.parameters())


def test_a_generator_that_is_taught_alone_comes_nearer_to_its_teacher(tmp_path: Path):
    settings = taught(tmp_path / "teacher", teacher_weight=1.0, mse_weight=0.0, steps=12)
    out = train(settings, "instruct", Pairs(2), tmp_path / "run", new_model(settings.model), progress=False).parent
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    apart = [line["divergence"] for line in lines if "divergence" in line]
    assert len(apart) == 12 and apart[-1] < 0.7 * apart[0]


def test_a_teacher_that_cannot_teach_is_refused(tmp_path: Path):
    settings = taught(tmp_path / "teacher")
    other = replace(settings, model=replace(settings.model, attention="block"))
    with pytest.raises(ConfigError, match=r"its generator was trained with model\.attention"):
        teacher_of(other, "instruct", new_model(other.model))
    with pytest.raises(ConfigError, match="only pretrain and instruct learn from a `teacher`"):
        check_stage(config(settings.model, "joint", teacher=str(tmp_path / "teacher")), "joint")
    with pytest.raises(ConfigError, match="no such path"):
        started(config(settings.model, "instruct", teacher="nowhere"), "instruct")
