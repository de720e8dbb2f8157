"""An exam gives a system in memory the same questions, passages and scores as a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import Answer, BackendError, Component, ConfigError, IndexStats, Ranked, create
from clara_bench.cli import main
from clara_bench.running.in_memory import Exam


def test_an_exam_gives_the_scores_of_a_run(capitals: Path, oracle: str, tmp_path: Path):
    command = ["run", "-t", str(capitals), "-s", oracle, "--setting", "distractor", "--limit", "6", "--seed", "3"]
    assert CliRunner().invoke(main, [*command, "--out", str(tmp_path / "runs")]).exit_code == 0
    [path] = (tmp_path / "runs").rglob("scores.json")
    run = {name: said["mean"] for name, said in json.loads(path.read_text())["metrics"].items()}
    exam = Exam(str(capitals), "distractor", limit=6, seed=3)
    names = ("em", "f1", "recall@1", "context_positions")
    assert len(exam) == 6
    assert exam.take(create("system", Component(oracle)), names, batch=4) == {name: run[name] for name in names}


def test_by_default_the_metrics_are_the_tasks_own_less_what_the_setting_cannot_have(capitals: Path, oracle: str):
    scores = Exam(str(capitals), "gold").take(create("system", Component(oracle)))
    assert scores["em"] == 1.0 and "recall@1" not in scores


def test_questions_over_a_world_are_made_to_order():
    exam = Exam("nq", "distractor", world={"questions": 3, "passages": 200, "seed": 5})
    assert len(exam) == 3
    with pytest.raises(ConfigError):
        Exam("nq", "distractor", world={"question": 3})


class Failing:
    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        if any("Norway" in question.text for question in questions):
            raise RuntimeError("no answer today")
        return [Answer("Rome", (Ranked(question.candidates[0], 1.0),)) for question in questions]


def test_a_failed_question_is_no_score_of_zero(capitals: Path):
    with pytest.raises(BackendError, match="1 of 10 questions failed, the first with: RuntimeError: no answer today"):
        Exam(str(capitals), "distractor").take(Failing())
