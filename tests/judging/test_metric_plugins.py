"""A metric of one's own: found, checked, scored beside the others, and never run because a file names it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import metrics
from clara_bench.cli import main
from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.records.manifest import json_bytes, read_manifest, write_manifest
from clara_bench.records.results import open_run
from clara_bench.reporting.scoring import score_run

MINE = '''
from dataclasses import dataclass
from pathlib import Path

Path(__file__).with_name("ran.txt").write_text("ran")


class Longest:
    """1 if the answer has at most so many letters. It counts blanks too."""

    @dataclass(frozen=True)
    class Options:
        letters: int = 5

    def __init__(self, options):
        self.options = options

    def score(self, answered):
        return float(len(answered.answer.text) <= self.options.letters)


class Asked:
    """Words of the question."""

    unit = "tokens"
    higher_is_better = False

    def score(self, answered):
        return len(answered.question.text.split())


class Norway:
    """1 if the answer is right, of questions about Norway."""

    def applies(self, gold):
        return "Oslo" in gold.answers

    def score(self, answered):
        return answered.answer.text in answered.gold.answers


class Wrong:
    """A share that is none."""

    def score(self, answered):
        return 2


class Broken:
    """It fails."""

    def score(self, answered):
        raise KeyError("x")


class Nothing:
    """No metric."""
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    return str(tmp_path / "mine.py")


@pytest.fixture
def answered(capitals: Path, oracle: str, tmp_path: Path):
    def run(label: str, *extra: str) -> Path:
        given = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl"))]
        invoke(*given, "--out", str(tmp_path / "runs"), "--label", label, *extra)
        [folder] = (tmp_path / "runs").glob(f"*/{label}/*")
        return folder

    return run


def invoke(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def test_a_metric_in_a_file_is_scored_with_its_options_and_failures_as_zeros(answered, mine: str) -> None:
    run, lame = answered("whole"), answered("lame", "-o", "fail=q0")
    found = json.loads(invoke("score", str(run), "-m", f"{mine}:Longest", "--json"))
    assert found[f"{mine}:Longest"]["mean"] == 0.7  # all but Vienna, Prague and Madrid
    short = json.loads(invoke("score", str(lame), "-m", f"{mine}:Longest[letters=4]", "--json"))
    [value] = short.values()
    assert (value["mean"], value["failed"]) == (0.2, 1)  # Rome and Lima; Oslo failed


def test_a_metric_says_which_questions_count_and_its_unit(answered, mine: str) -> None:
    found = json.loads(invoke("score", str(answered("whole")), "-m", f"{mine}:Norway", "-m", f"{mine}:Asked", "--json"))
    assert (found[f"{mine}:Norway"]["n"], found[f"{mine}:Norway"]["mean"]) == (1, 1.0)
    assert found[f"{mine}:Asked"]["mean"] == 6
    metric = metrics.get(f"{mine}:Asked")
    assert (metric.unit, metric.higher_is_better, metric.family) == ("tokens", False, "cost")
    assert metric.description == "Words of the question."


def test_compare_and_leaderboard_take_it_like_any_metric(answered, mine: str, tmp_path: Path) -> None:
    whole, lame = answered("whole"), answered("lame", "-o", "fail=q0")
    name = f"{mine}:Longest[letters=4]"
    found = json.loads(invoke("compare", str(whole), str(lame), "-m", name, "--json"))
    assert found[str(lame)][name]["broken"] == ["q0"]
    rows = invoke("leaderboard", str(tmp_path / "runs"), "-m", f"em,{name}", "-f", "markdown")
    assert "letters=4" in rows
    assert "20.0" in rows


def test_a_metric_chosen_at_a_run_is_in_its_manifest_and_scores_and_not_in_its_identity(answered, mine: str) -> None:
    run = answered("whole")
    again = answered("whole", "-m", f"{mine}:Longest", "-m", "f1_first")
    assert again == run
    assert read_manifest(run / "manifest.json")["request"]["metrics"] == [f"{mine}:Longest", "f1_first"]
    assert {f"{mine}:Longest", "f1_first", "em"} <= json.loads((run / "scores.json").read_bytes())["metrics"].keys()


def test_a_run_ends_with_the_metrics_that_were_chosen_for_it(
    capitals: Path, oracle: str, mine: str, tmp_path: Path
) -> None:
    data = str(capitals.with_name("capitals.jsonl"))
    given = ["run", "-t", str(capitals), "-s", oracle, "--data", data, "--out", str(tmp_path / "runs")]
    said = invoke(*given, "-m", "f1_first", "-m", f"{mine}:Norway")
    assert "f1_first" in said
    assert "Norway" in said


def test_scoring_a_run_does_not_execute_the_file_that_its_manifest_names(answered, mine: str) -> None:
    run = answered("whole", "-m", f"{mine}:Longest")
    marker = Path(mine).with_name("ran.txt")
    marker.unlink()
    with pytest.warns(UserWarning, match="is code in a file. Add -m to compute it"):
        scores = score_run(open_run(run))
    assert "em" in scores.metrics
    kept = (run / "scores.json").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        invoke("score", str(run))
    assert (run / "scores.json").read_bytes() == kept  # which holds the metric that is not computed now
    assert not marker.exists()
    manifest = dict(read_manifest(run / "manifest.json"))
    manifest["task"] = {**manifest["task"], "main_metric": f"{mine}:Longest"}
    write_manifest(run / "manifest.json", manifest)
    with pytest.raises(DataError, match="main_metric"):
        open_run(run)
    manifest["task"] = {**manifest["task"], "main_metric": "em", "metrics": [f"{mine}:Longest"]}
    (run / "manifest.json").write_bytes(json_bytes(manifest))
    with pytest.raises(DataError, match="metrics"):
        open_run(run)
    assert not marker.exists()


def test_scoring_a_run_does_not_execute_the_reader_that_its_judge_names(answered, mine: str) -> None:
    run = answered("whole")
    manifest = dict(read_manifest(run / "manifest.json"))
    manifest["request"] = {**manifest["request"], "metrics": [f"judge[reader={mine}:Longest]"]}
    write_manifest(run / "manifest.json", manifest)
    with pytest.warns(UserWarning, match="is code in a file"):
        score_run(open_run(run))
    assert not Path(mine).with_name("ran.txt").exists()


def test_a_task_file_runs_no_code_for_its_metrics(capitals: Path, oracle: str, mine: str, tmp_path: Path) -> None:
    text = capitals.read_text(encoding="utf-8").replace('metrics = ["em"', f'metrics = ["{mine}:Longest", "em"')
    capitals.write_text(text, encoding="utf-8")
    said = invoke("run", "-t", str(capitals), "-s", oracle, "--out", str(tmp_path / "runs"), code=2)
    assert "is code in a file. Choose it with -m instead" in said
    assert not Path(mine).with_name("ran.txt").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wrong", "question 'q0': metric '.*:Wrong' returned 2, expected a number from 0 to 1, or None"),
        ("Broken", r"question 'q0': metric '.*:Broken': KeyError: 'x' \(mine.py:"),
        ("Nothing", "has neither a method 'score' nor 'judge'. See docs/plugins.md"),
        ("Longest[leters=3]", "unknown option 'leters'. Did you mean 'letters'"),
        ("Longest[letters", r"expected NAME\[KEY=VALUE,KEY=VALUE\]"),
        ("Longest[3]", r"expected NAME\[KEY=VALUE,KEY=VALUE\]"),
        ("Longer", "unknown class 'Longer'. Did you mean 'Longest'"),
    ],
)
def test_what_is_wrong_with_a_metric_is_said_in_one_line(answered, mine: str, name: str, message: str) -> None:
    run = open_run(answered("whole"))
    with pytest.raises(ConfigError, match=message):
        score_run(run, [f"{mine}:{name}"])
    assert "Traceback" not in invoke("score", str(run.path), "-m", f"{mine}:{name}", code=2)


def test_installed_metrics_are_listed_and_a_misspelt_one_is_led_to_them() -> None:
    assert "judge" in invoke("list", "metrics")
    assert "reader" in invoke("show", "judge")
    with pytest.raises(UnknownName, match="Did you mean 'judge'"):
        metrics.get("juge")
    with pytest.raises(ConfigError, match=r"required: add (reader\.)?model=VALUE in brackets behind its name|-o model"):
        metrics.get("judge")


def test_repeating_a_manifest_runs_no_metric_that_is_not_asked_for_again(answered, mine: str, tmp_path: Path) -> None:
    run = answered("whole", "-m", f"{mine}:Longest")
    marker = Path(mine).with_name("ran.txt")
    marker.unlink()
    manifest = str(run / "manifest.json")
    said = invoke("run", "--manifest", manifest, "--trust", "--out", str(tmp_path / "again"))
    assert "Longest too when it was run. Add -m to do so again" in said
    assert not marker.exists()
    invoke("run", "--manifest", manifest, "--trust", "--out", str(tmp_path / "more"), "-m", f"{mine}:Longest")
    [scores] = (tmp_path / "more").glob("*/*/*/scores.json")
    assert f"{mine}:Longest" in json.loads(scores.read_bytes())["metrics"]
