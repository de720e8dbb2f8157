"""A dense retriever learns from the rows of CLaRa's reasoner, goes on after a kill, and is what the harness loads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
import torch
from click.testing import CliRunner

from clara_bench import BackendError, ConfigError, DataError
from clara_bench.retrieve.dense import Dense
from clara_bench.types import Passage, Question
from reference.cli import main
from reference.data.sources import open_source
from reference.retriever import training
from reference.retriever.examples import dev_samples, examples, passage, shares
from reference.retriever.training import Settings, train
from reference.settings.config import Config, load
from reference.settings.shipped import config_file

SMALL = {"stages": {"supervised": {"steps": 4, "batch": 4, "parallel": {"micro_batch": 4}}}}


@pytest.fixture
def config() -> Config:
    return load(config_file("debug"), SMALL)


def settings(**given: object) -> Settings:
    fixed = {"model": "tiny-text", "stages": ("supervised",), "evaluations": 2, "dev_questions": 3, "device": "cpu"}
    return Settings(**{**fixed, **given})  # type: ignore[arg-type]


def test_an_example_is_a_question_one_of_its_gold_passages_and_candidates_that_are_not_gold(config: Config):
    source = open_source("supervised", config.data["supervised"])
    made = list(examples(config, shares(config, ["supervised"], 1.0), 2, 0))
    assert len(made) == 16
    for number, example in enumerate(made):
        row = source[number]
        gold = {passage(row.documents[place]) for place in row.positives}
        others = {passage(document) for document in row.documents} - gold
        assert example["question"] == row.turns[0].question
        assert example["gold"] in gold and {example["negative_1"], example["negative_2"]} < others
        assert example["negative_1"] != example["negative_2"]


def test_a_budget_is_a_share_of_each_stages_steps_and_the_first_rows_of_it():
    config = load(config_file("tiny"))
    assert [one.rows for one in shares(config, ["find", "choose"], 1.0)] == [800 * 32, 2400 * 32]
    assert [one.rows for one in shares(config, ["find", "choose"], 0.05)] == [40 * 32, 120 * 32]


def test_no_passage_of_a_dev_question_is_one_of_training(config: Config):
    source = open_source("supervised", config.data["supervised"])
    seen = {passage(document) for number in range(16) for document in source[number].documents}
    samples = dev_samples(config, "supervised", 5)
    assert all(len(one["positive"]) + len(one["negative"]) == 10 for one in samples)
    assert not seen & {text for one in samples for text in (*one["positive"], *one["negative"])}


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = train(config, settings(), whole)
    follow = training._follow

    def killed(trainer, log, advance):  # type: ignore[no-untyped-def]
        steps = iter(range(3))
        follow(trainer, log, lambda count: next(steps))

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(training, "_follow", killed)
        train(config, settings(), broken)
    assert not (broken / "best").exists() and (broken / "checkpoints" / "checkpoint-2").exists()
    assert train(config, settings(), broken)["best"] == done["best"]
    weights = [(one / "best" / "model.safetensors").read_bytes() for one in (whole, broken)]
    assert weights[0] == weights[1]
    steps = [json.loads(line)["step"] for line in (broken / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    evaluated = [line for line in (broken / "log.jsonl").read_text().splitlines() if training.MEASURE in line]
    assert [json.loads(line)["step"] for line in evaluated] == [0, 2, 4]


def test_what_is_trained_learns_and_is_what_the_retriever_dense_loads(config: Config, tmp_path: Path):
    train(config, settings(evaluations=0), tmp_path / "out")
    retriever = Dense(Dense.Options(model=str(tmp_path / "out" / "best"), device="cpu"))
    retriever.index(
        {"a": Passage("a", "The Bemey flows through Tovport.", "Tovport"), "b": Passage("b", "Kites.", "K")}
    )
    [ranked] = retriever.retrieve([Question("q", "Which river flows through Tovport?")], 2)
    assert {one.passage_id for one in ranked} == {"a", "b"} and ranked[0].score <= 1


def test_a_training_joins_no_processes_of_a_launcher_and_leaves_the_environment(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOCAL_RANK", "0")  # as a training of CLaRa leaves it
    before = dict(os.environ)
    train(config, settings(evaluations=0), tmp_path)
    assert dict(os.environ) == before


def test_a_folder_of_another_training_is_refused(config: Config, tmp_path: Path):
    train(config, settings(evaluations=0), tmp_path)
    with pytest.raises(ConfigError, match="holds a training of other settings"):
        train(config, settings(evaluations=0, seed=1), tmp_path)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"stages": ("text",)}, ConfigError, "stage 'text' has no rows of questions and candidates"),
        ({"stages": ("nothing",)}, ConfigError, "Expected one that chooses documents: joint, supervised, reinforce"),
        ({"model": "no-such-model"}, BackendError, "no such folder"),
    ],
)
def test_what_cannot_be_trained_is_said(config: Config, tmp_path: Path, given, error, said: str):
    with pytest.raises(error, match=said):
        train(config, settings(**given), tmp_path / "out")


def test_rows_without_gold_passages_are_refused(config: Config, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "Who?", "answer": "Ann", "docs": ["A", "B"]}) + "\n")
    config = msgspec.structs.replace(config, data={"supervised": {"path": str(rows)}})
    with pytest.raises(DataError, match="0 rows with a gold passage, fewer than a batch"):
        train(config, settings(evaluations=0), tmp_path / "out")


def test_the_command_trains_and_says_which_step_is_best(tmp_path: Path):
    sizes = ["--set", "steps=2", "--set", "batch=4", "--set", "parallel.micro_batch=4"]
    said = CliRunner().invoke(
        main,
        ["retriever", "debug", "--stage", "supervised", "--out", str(tmp_path), "--model", "tiny-text",
         "--evaluations", "1", "--dev-questions", "2", "--device", "cpu", *sizes],
        catch_exceptions=False,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "best: step 2 of 2" in said.output and "ndcg@10" in said.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="the model would go to the GPU")
def test_bfloat16_needs_no_device_named_where_there_is_only_a_cpu(config: Config, tmp_path: Path):
    done = train(config, settings(device=None, precision="bfloat16", evaluations=0), tmp_path / "out")
    assert done["settings"]["precision"] == "bfloat16" and (tmp_path / "out" / "best" / "model.safetensors").is_file()
