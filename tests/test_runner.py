from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clara_bench import ConfigError, results, runner, sources, tasks
from clara_bench.candidates import FirstStage
from clara_bench.errors import BackendError
from clara_bench.log import RecordLog
from clara_bench.registry import Component
from clara_bench.request import Request
from clara_bench.results import Run

Go = Callable[..., Run]


@pytest.fixture
def go(capitals: Path, oracle: str, tmp_path: Path) -> Go:
    """Run the oracle on the capitals; keyword arguments are its options or fields of the request."""

    def start(options: dict[str, str] | None = None, retry_failed: bool = False, **request: object) -> Run:
        asked = Request(str(capitals), Component(oracle, options or {}), "corpus", source(capitals), batch=3)
        asked = replace(asked, **request)
        data = sources.load(tasks.load(str(capitals)), asked.source)
        return runner.run(asked, data, tmp_path / "runs", retry_failed=retry_failed)

    return start


def source(capitals: Path) -> sources.Source:
    return sources.Source(data=str(capitals.with_name("capitals.jsonl")))


def scores(run: Run) -> dict[str, dict[str, object]]:
    return json.loads((run.path / "scores.json").read_text())["metrics"]


def test_a_run_answers_every_question_and_scores_itself(go: Go) -> None:
    run = go()
    assert [r.id for r in run.records()] == [f"q{i}" for i in range(10)]
    assert scores(run)["em"]["mean"] == 1.0
    assert scores(run)["recall@1"]["mean"] == 1.0


def test_a_system_never_sees_the_gold(go: Go) -> None:
    assert not hasattr(go().examples[0].question, "gold")
    assert "supporting" not in type(go().examples[0].question).__dataclass_fields__


def test_the_same_run_started_again_asks_nothing(go: Go, tmp_path: Path) -> None:
    calls = {"calls": str(tmp_path / "calls.txt")}
    first = go(calls)
    again = go(calls)
    assert again.path == first.path
    assert len((tmp_path / "calls.txt").read_text().split()) == 10


@pytest.mark.parametrize("change", [{"seed": 1}, {"limit": 5}, {"setting": "distractor"}])
def test_another_request_is_another_directory(go: Go, change: dict[str, object]) -> None:
    assert go(**change).path != go().path


def test_another_option_is_another_directory(go: Go) -> None:
    assert go({"error": "TimeoutError"}).path != go().path


def test_a_changed_plugin_file_is_another_directory(go: Go, oracle: str) -> None:
    before = go().path
    file = Path(oracle.rpartition(":")[0])
    file.write_text(file.read_text() + "\n# changed\n")
    assert go().path != before


def test_a_resumed_run_asks_only_what_is_missing_and_scores_the_same(go: Go, tmp_path: Path) -> None:
    calls = tmp_path / "calls.txt"
    run = go({"calls": str(calls)})
    whole, scored = run.records(), scores(run)
    lines = (run.path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "records.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:25])
    calls.unlink()
    go({"calls": str(calls)})
    assert calls.read_text().split() == ["q4", "q5", "q6", "q7", "q8", "q9"]
    assert [(r.id, r.answer) for r in run.records()] == [(r.id, r.answer) for r in whole]
    assert run.records()[:4] == whole[:4]
    assert {name: s for name, s in scores(run).items() if name != "seconds"} == {
        name: s for name, s in scored.items() if name != "seconds"
    }


SLOW = """
    def answer(self, questions):
        import time
        time.sleep(0.3)
        return [self.answer_one(question) for question in questions]
"""


def test_a_run_killed_at_any_moment_continues_to_the_same_scores(go: Go, capitals: Path, oracle: str) -> None:
    undisturbed = scores(go())
    slow = Path(oracle.rpartition(":")[0]).with_name("slow.py")
    slow.write_text(Path(oracle.rpartition(":")[0]).read_text() + SLOW)
    out = capitals.parent / "killed"
    data = str(capitals.with_name("capitals.jsonl"))
    command = [sys.executable, "-m", "clara_bench", "run", "-t", str(capitals), "-s", f"{slow}:Capitals"]
    command += ["--data", data, "--batch", "2", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.rglob("records.jsonl")) or not next(out.rglob("records.jsonl")).read_bytes():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    [killed] = results.find_runs(out)
    assert 0 < len(killed.records()) < 10
    subprocess.run(command, check=True, capture_output=True)
    quality = ("em", "f1", "recall@1")
    assert {m: scores(killed)[m] for m in quality} == {m: undisturbed[m] for m in quality}


@pytest.mark.parametrize(
    ("error", "status"),
    [("RuntimeError", "error"), ("TimeoutError", "timeout"), ("MemoryError", "out-of-memory")],
)
def test_a_failing_question_is_recorded_as_failed_and_the_run_goes_on(go: Go, error: str, status: str) -> None:
    run = go({"fail": "q4", "error": error})
    by_id = {record.id: record.answer for record in run.records()}
    assert by_id["q4"].status == status
    assert re.fullmatch(rf"{error}: no answer today \(oracle.py:\d+\)", by_id["q4"].error or "")
    assert [by_id[f"q{i}"].status for i in range(10) if i != 4] == ["ok"] * 9
    assert scores(run)["em"]["mean"] == 0.9
    assert scores(run)["em"]["failed"] == 1
    assert scores(run)["context_positions"]["mean"] == 7.0


def test_failed_questions_are_asked_again_on_request(go: Go, oracle: str) -> None:
    run = go({"fail": "q4"})
    file = run.path / "records.jsonl"
    assert run.path == go({"fail": "q4"}, retry_failed=True).path
    assert len(file.read_bytes().splitlines()) == 11
    assert len(run.records()) == 10


def test_a_wrong_number_of_answers_stops_the_run_and_keeps_the_records(go: Go) -> None:
    with pytest.raises(ConfigError, match="returned 2 Answers for 3 questions"):
        go({"wrong_count": "true"})


def test_two_processes_never_write_to_one_run(go: Go) -> None:
    run = go()
    with RecordLog(run.path), pytest.raises(BackendError, match="another process is writing"):
        go()


@pytest.mark.parametrize("setting", ["closed", "gold", "distractor", "injected", "retrieved", "corpus"])
def test_every_setting_runs(go: Go, setting: str) -> None:
    run = go(setting=setting, first_stage=FirstStage(Component("bm25"), 5))
    given = [example.question.candidates for example in run.examples]
    expected = {"closed": 0, "gold": 1, "distractor": 10, "injected": 5, "retrieved": 5, "corpus": None}[setting]
    assert {None if candidates is None else len(candidates) for candidates in given} == {expected}
    assert ("recall@1" in scores(run)) == (setting not in {"closed", "gold"})


def test_injected_candidates_always_hold_the_gold(go: Go) -> None:
    run = go(setting="injected", first_stage=FirstStage(Component("bm25"), 1))
    assert all(set(e.gold.supporting) <= set(e.question.candidates) for e in run.examples)


def test_a_limit_is_a_seeded_sample_in_the_order_of_the_data(go: Go) -> None:
    ids = [example.question.id for example in go(limit=4).examples]
    assert len(ids) == 4
    assert ids == sorted(ids)
    assert ids == [example.question.id for example in go(limit=4).examples]
    assert ids != [example.question.id for example in go(limit=4, seed=3).examples]


def test_a_full_disk_is_said_so_and_loses_no_record(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    run = go()
    kept = (run.path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "records.jsonl").write_bytes(b"".join(kept[:3]))
    # Unlimited until the file has its three records and a little more: then write() fails as on a full disk.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(b"".join(kept[:3])) + 10, hard))
    try:
        with pytest.raises(BackendError, match="cannot write"):
            go()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    assert (run.path / "records.jsonl").read_bytes() == b"".join(kept[:3])
