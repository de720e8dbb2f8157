from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import DataError
from clara_bench.records import results
from clara_bench.records.results import Run, open_run
from clara_bench.reporting import scored
from clara_bench.reporting.scored import CachedScorer, Scorer


@pytest.fixture
def run(capitals: Path, oracle: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run, in a folder whose cache is empty."""
    out = capitals.with_name("runs")
    done = CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--out", str(out), "-o", "fail=q3"])
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(capitals.with_name("cache")))
    [manifest] = out.rglob("manifest.json")
    return open_run(manifest.parent)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often records were scored: one entry each time."""
    found: list[int] = []
    score = scored.measured
    monkeypatch.setattr(scored, "measured", lambda *given, **more: (found.append(1), score(*given, **more))[1])
    return found


def test_a_run_is_scored_once_and_the_kept_scores_are_those_of_its_records(run: Run, times: list[int]) -> None:
    fresh = Scorer()(run, ["em", "seconds"])
    assert [CachedScorer()(run, ["em", "seconds"]) for _ in range(3)] == [fresh] * 3
    assert len(times) == 2
    assert fresh.failed == 1


def test_other_records_metrics_and_code_are_scored_anew(
    run: Run, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    CachedScorer()(run, ["em"])
    CachedScorer()(run, ["f1"])
    assert len(times) == 2
    records = run.path / "records.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[:-1]))
    assert CachedScorer()(run, ["em"]).metrics["em"].mean == 0.8
    monkeypatch.setattr(scored, "code_digest", lambda: "other")
    CachedScorer()(run, ["em"])
    assert len(times) == 4


def test_a_file_of_the_cache_that_was_cut_short_is_made_again(run: Run, times: list[int]) -> None:
    fresh = CachedScorer()(run, ["em"])
    [file] = (run.path.parents[3] / "cache" / "scores").rglob("*.json")
    file.write_bytes(file.read_bytes()[:40])
    assert CachedScorer()(run, ["em"]) == fresh
    assert json.loads(file.read_text())["failed"] == 1


def test_a_cache_that_cannot_be_written_costs_no_leaderboard(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = run.path / "blocked"
    blocked.write_text("")
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(blocked))
    done = CliRunner().invoke(main, ["leaderboard", str(run.path)])
    assert done.exit_code == 0
    assert "warning: scores are not kept: cannot write" in done.stderr
    assert "90.0" in done.stdout


def test_an_edit_of_any_module_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics").mkdir()
    module = tmp_path / "metrics" / "answer.py"
    module.write_text("ROUND = 1")
    monkeypatch.setattr("clara_bench.__file__", str(tmp_path / "__init__.py"))
    before = scored.code_digest()
    assert scored.code_digest() == before
    module.write_text("ROUND = 2")
    assert scored.code_digest() != before


def test_runs_that_share_their_questions_score_the_same_one_by_one_and_together(
    run: Run, capitals: Path, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = capitals.with_name("runs")
    done = CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--out", str(out), "-o", "fail=q1"])
    assert done.exit_code == 0, done.output
    runs = [open_run(file.parent) for file in sorted(out.rglob("manifest.json"))]
    read: list[Path] = []
    real = results.read_questions
    monkeypatch.setattr(results, "read_questions", lambda path, setting: read.append(path) or real(path, setting))
    together = Scorer()
    assert len(runs) == 2
    shared = [together(one, names) for one in runs for names in (["em"], ["em", "recall@2"])]
    assert len(read) == 1
    assert shared == [Scorer()(one, names) for one in runs for names in (["em"], ["em", "recall@2"])]


def test_questions_that_a_manifest_does_not_name_are_refused_though_another_run_has_read_them(run: Run) -> None:
    scorer = Scorer()
    scorer(run, ["em"])
    other = replace(run, manifest={**run.manifest, "questions": {**run.manifest["questions"], "hash": "0" * 64}})
    with pytest.raises(DataError, match="questions that were asked, by the hash"):
        scorer(other, ["em"])
