from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.records import results
from clara_bench.reporting import formats, leaderboard


@pytest.fixture
def runs(capitals: Path, oracle: str) -> Path:
    """Three runs in one folder: a perfect one, one with a failure, one in another setting."""
    out = capitals.parent / "runs"
    common = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl")),
              "--out", str(out)]  # fmt: skip
    for extra in (["--label", "whole"], ["--label", "lame", "-o", "fail=q3"],
                  ["--label", "own|<b>", "--setting", "distractor"]):  # fmt: skip
        done = CliRunner().invoke(main, [*common, *extra])
        assert done.exit_code == 0, done.output
    return out


def test_rows_with_other_candidates_stand_in_another_section(runs: Path) -> None:
    [board] = leaderboard.boards(results.find_runs(runs))
    assert [section.setting for section in board.sections] == ["distractor", "corpus"]
    assert [row.label for row in board.sections[1].rows] == ["whole", "lame"]


def test_rows_with_failures_are_marked_in_every_format(runs: Path) -> None:
    found = leaderboard.boards(results.find_runs(runs))
    assert "lame †1" in formats.markdown(found)
    assert r"lame $\dagger$1" in formats.latex(found)
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(found))))
    assert {row["failed"] for row in rows if row["system"] == "lame" and row["metric"] == "em"} == {"1"}
    assert json.loads(formats.to_json(found))[0]["sections"][1]["rows"][1]["failed"] == 1


def test_every_mean_carries_a_seeded_interval(runs: Path) -> None:
    [board] = leaderboard.boards(results.find_runs(runs), seed=4)
    em = board.sections[1].rows[1].metrics["em"]
    assert em.mean == 0.9
    assert em.ci95 is not None
    assert em.ci95[0] < 0.9 < em.ci95[1]
    assert leaderboard.boards(results.find_runs(runs), seed=4) == [board]


def test_other_questions_are_another_table(runs: Path, capitals: Path, oracle: str) -> None:
    CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--limit", "4", "--out", str(runs),
                              "--data", str(capitals.with_name("capitals.jsonl"))])  # fmt: skip
    assert sorted(board.questions for board in leaderboard.boards(results.find_runs(runs))) == [4, 10]


def test_labels_cannot_break_out_of_a_table(runs: Path) -> None:
    text = formats.markdown(leaderboard.boards(results.find_runs(runs)))
    assert "<b>" not in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


@pytest.mark.parametrize("kind", ["rich", "markdown", "csv", "latex", "json"])
def test_every_format_prints_from_the_command_line(runs: Path, kind: str) -> None:
    done = CliRunner().invoke(main, ["leaderboard", str(runs), "--format", kind])
    assert done.exit_code == 0, done.output
    assert "whole" in done.output


def test_published_runs_score_to_the_last_digit(runs: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    assert CliRunner().invoke(main, ["publish", str(runs), "--to", str(published)]).exit_code == 0
    for run in results.find_runs(published):
        before = (run.path / "scores.json").read_bytes()
        assert CliRunner().invoke(main, ["score", str(run.path)]).exit_code == 0
        assert (run.path / "scores.json").read_bytes() == before
        assert not (run.path / "records.jsonl").exists()


def test_a_run_repeats_from_its_manifest_and_refuses_other_data(runs: Path, capitals: Path, tmp_path: Path) -> None:
    whole = next(run for run in results.find_runs(runs) if run.manifest["system"]["label"] == "whole")
    again = ["run", "--manifest", str(whole.path), "--trust", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 0, done.output
    [repeated] = results.find_runs(tmp_path / "again")
    assert repeated.path.name == whole.path.name
    texts = [[r.answer.text for r in run.records()] for run in (whole, repeated)]
    assert texts[0] == texts[1]
    data = capitals.with_name("capitals.jsonl")
    data.write_text(data.read_text().replace("Oslo", "Bergen"))
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 2
    assert "differs from its manifest in: candidates, data.passages, data.questions, questions" in done.output


def test_an_outsiders_package_is_listed_and_ranked_without_a_change_to_ours(capitals: Path, tmp_path: Path) -> None:
    import os
    import sys

    package = Path(__file__).parent / "plugin_package"
    lines = (package / "lexical_sentence" / "__init__.py").read_text().splitlines()
    assert len(lines) <= 30
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(package), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
                    str(tmp_path / "site"), str(source)], check=True, capture_output=True)  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "clara_bench", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "clara-bench-lexical-sentence" in bench("systems", "list")
    data = str(capitals.with_name("capitals.jsonl"))
    bench("run", "-t", str(capitals), "-s", "lexical-sentence", "--data", data, "--out", str(tmp_path / "runs"))
    assert "lexical-sentence" in bench("leaderboard", str(tmp_path / "runs"), "--format", "markdown")
