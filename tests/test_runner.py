from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import ConfigError
from clara_bench.cli import main
from clara_bench.components.registry import Component
from clara_bench.errors import BackendError
from clara_bench.io.cache import file_digest
from clara_bench.records import results
from clara_bench.records.log import RecordLog
from clara_bench.records.results import Run
from clara_bench.running import runner
from clara_bench.running.run_config import Request
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.first_stage import FirstStage

Go = Callable[..., Run]


@pytest.fixture
def go(capitals: Path, oracle: str, tmp_path: Path) -> Go:
    """Run the oracle on the capitals; keyword arguments are its options or fields of the request."""

    def start(
        options: dict[str, str] | None = None, retry_failed: bool = False, out: Path | None = None, **request: object
    ) -> Run:
        asked = Request(str(capitals), Component(oracle, options or {}), "corpus", source(capitals), batch=3)
        asked = replace(asked, **request)
        data = sources.load(definitions.load(str(capitals)), asked.source)
        return runner.run(asked, data, out or tmp_path / "runs", retry_failed=retry_failed)

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


@pytest.mark.parametrize("change", [{"seed": 1}, {"complete_gold": True}, {"setting": "distractor"}])
def test_another_request_is_another_directory(go: Go, change: dict[str, object]) -> None:
    assert go(**change).path != go().path


def test_another_batch_is_the_same_run_and_goes_on(go: Go, tmp_path: Path) -> None:
    calls = {"calls": str(tmp_path / "calls.txt")}
    run = go(calls, batch=3)
    lines = (run.path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "records.jsonl").write_bytes(b"".join(lines[:4]))
    (tmp_path / "calls.txt").unlink()
    again = go(calls, batch=7)
    assert again.path == run.path
    assert (tmp_path / "calls.txt").read_text().split() == [f"q{n}" for n in range(4, 10)]
    assert [record.id for record in again.records()] == [f"q{n}" for n in range(10)]


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


def asked(run: Run) -> list[str]:
    return [example.question.id for example in run.examples]


def test_a_limit_is_a_seeded_sample_in_the_order_of_the_data(go: Go) -> None:
    ids = asked(go(limit=4))
    assert len(ids) == 4
    assert ids == sorted(ids)
    assert ids == asked(go(limit=4))
    assert ids != asked(go(limit=4, seed=3))


@pytest.mark.parametrize("setting", ["closed", "gold", "distractor", "injected", "retrieved", "corpus"])
def test_a_higher_limit_asks_the_questions_that_are_new_and_scores_all(go: Go, tmp_path: Path, setting: str) -> None:
    calls = tmp_path / "calls.txt"
    first = go({"calls": str(calls)}, limit=4, setting=setting)
    kept = first.records()
    calls.unlink()
    more = go({"calls": str(calls)}, limit=7, setting=setting)
    assert more.path == first.path
    assert calls.read_text().split() == [id for id in asked(more) if id not in {record.id for record in kept}]
    assert len(more.records()) == 7 and set(map(repr, kept)) <= set(map(repr, more.records()))
    assert scores(more)["em"]["n"] == 7
    whole = go({"calls": str(calls)}, setting=setting)
    assert whole.path == first.path
    assert len(whole.records()) == 10 and len(calls.read_text().split()) == 6


@pytest.mark.parametrize("setting", ["distractor", "injected", "retrieved", "corpus"])
def test_answers_are_those_of_a_run_with_the_higher_limit_from_the_start(
    go: Go, tmp_path: Path, parts: Component, setting: str
) -> None:
    for limit in (3, 6, 9):
        grown = go(system=parts, limit=limit, setting=setting)
    at_once = go(system=parts, limit=9, setting=setting, out=tmp_path / "at once")
    assert grown.path.name == at_once.path.name
    assert asked(grown) == asked(at_once)
    assert answers(grown) == answers(at_once)
    same = ("questions", "candidates", "identity", "request")
    assert [grown.manifest[key] for key in same] == [at_once.manifest[key] for key in same]


def answers(run: Run) -> dict[str, object]:
    return {record.id: (record.answer.text, record.answer.retrieved) for record in run.records()}


@pytest.fixture
def parts(tmp_path: Path) -> Component:
    """BM25, whose scores depend on how many passages have a word, and a reader that says which passage came first."""
    (tmp_path / "first.py").write_text(
        "from clara_bench import Reading, Usage\n"
        "class First:\n"
        "    def read(self, questions, contexts):\n"
        "        return [Reading(c[0] if c else '', Usage(1, 1, 1, 1)) for c in contexts]\n"
        "    def context_tokens(self, contexts):\n"
        "        return [1 for _ in contexts]\n"
    )
    return Component("rag", {"reader": f"{tmp_path / 'first.py'}:First", "depth": "3"})


def test_a_smaller_limit_afterwards_keeps_the_larger_sample_and_says_so(go: Go, tmp_path: Path) -> None:
    calls = tmp_path / "calls.txt"
    larger = go({"calls": str(calls)}, limit=7)
    files = {path.name: path.read_bytes() for path in larger.path.iterdir()}
    calls.unlink()
    with pytest.warns(UserWarning, match="holds 7 questions, --limit asks for 4 of them: its scores are of all 7"):
        smaller = go({"calls": str(calls)}, limit=4)
    assert smaller.path == larger.path
    assert not calls.exists()
    assert {path.name: path.read_bytes() for path in larger.path.iterdir()} == files


def test_a_smaller_limit_asks_for_no_more_than_it_says(go: Go, tmp_path: Path) -> None:
    calls = tmp_path / "calls.txt"
    run = go({"calls": str(calls)}, limit=7)
    (run.path / "records.jsonl").write_bytes(b"")
    calls.unlink()
    with pytest.warns(UserWarning, match="its scores are of all 7"):
        go({"calls": str(calls)}, limit=2)
    assert len(calls.read_text().split()) == 2
    assert json.loads((run.path / "scores.json").read_text())["statuses"] == {"ok": 2, "missing": 5}
    go({"calls": str(calls)}, limit=7)
    assert len(calls.read_text().split()) == 7


def test_a_sample_that_was_being_extended_when_it_was_killed_goes_on_with_either_limit(go: Go) -> None:
    first = go(limit=3)
    kept = {path.name: path.read_bytes() for path in first.path.iterdir()}
    larger = go(limit=6)
    (larger.path / "manifest.json").write_bytes(kept["manifest.json"])
    (larger.path / "records.jsonl").write_bytes(kept["records.jsonl"])
    assert asked(go(limit=3)) == [record.id for record in results.read_records(larger.path)]
    assert len(asked(go(limit=6))) == 6


STOPPING = """
    def answer(self, questions):
        from clara_bench import BackendError
        if Path(__file__).with_name("stop").exists():
            raise BackendError("the server is gone")
        return [self.answer_one(question) for question in questions]
"""


def test_scores_of_the_smaller_sample_do_not_outlive_it(go: Go, oracle: str) -> None:
    file = Path(oracle.rpartition(":")[0])
    file.write_text(file.read_text() + STOPPING)
    run = go(limit=3)
    file.with_name("stop").touch()
    with pytest.raises(BackendError, match="the server is gone"):
        go(limit=6)
    assert results.open_run(run.path).manifest["questions"]["count"] == 6
    assert not (run.path / "scores.json").exists()


def test_a_question_whose_candidates_are_no_longer_the_same_is_not_answered_among_the_others(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chance.py").write_text(
        "import time\nfrom clara_bench import IndexStats, Ranked\n"
        "class Chance:\n"
        "    def index(self, corpus):\n        return IndexStats(len(corpus), 0.0, 0)\n"
        "    def retrieve(self, questions, k):\n"
        "        return [[Ranked(f'p{time.time_ns() // 1000 % 10}', 1.0)] for _ in questions]\n"
    )
    stage = FirstStage(Component(f"{tmp_path / 'chance.py'}:Chance"), 1)
    go(limit=8, setting="retrieved", first_stage=stage)
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "another cache"))
    with pytest.raises(ConfigError, match="is not what it was when it was asked: its candidates or its gold differ"):
        go(limit=9, setting="retrieved", first_stage=stage)


def test_a_metric_that_a_task_has_gained_is_scored_in_the_run_that_is_there(go: Go, capitals: Path) -> None:
    run = go()
    capitals.write_text(capitals.read_text().replace('"em", "f1",', '"em", "f1", "recall@2",'))
    assert go().path == run.path
    assert "recall@2" in scores(run)


@pytest.mark.parametrize(
    ("old", "new"), [('"squad"', '"hotpotqa"'), ("version = 1", "version = 2")], ids=["scorer", "version"]
)
def test_another_version_or_scorer_of_the_task_is_another_run(go: Go, capitals: Path, old: str, new: str) -> None:
    run = go()
    capitals.write_text(capitals.read_text().replace(old, new))
    assert go().path != run.path


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


def test_a_run_of_the_first_version_is_repeated_with_the_sample_that_it_drew(
    go: Go, tmp_path: Path, capitals: Path
) -> None:
    drawn = go(limit=4, sampling="draw")
    expected = random.Random(0).sample(range(10), 4)
    assert asked(drawn) == [f"q{n}" for n in sorted(expected)] != asked(go(limit=4))
    assert go(limit=5, sampling="draw").path != drawn.path
    found = dict(drawn.manifest)
    request = {key: value for key, value in found["request"].items() if key != "sampling"}
    file = Path(found["system"]["name"].rpartition(":")[0])
    then = {
        "task": "capitals", "version": 1, "setting": "corpus", "seed": 0, "questions": found["questions"]["hash"],
        "candidates": found["candidates"]["hash"], "system": found["system"]["name"], "models": found["models"],
        "options": found["system"]["options"], "plugin": file_digest(file),
    }  # fmt: skip
    sessions = [{key: value for key, value in one.items() if key != "digest"} for one in found["sessions"]]
    old = {**found, "schema": 1, "request": request, "identity": then, "sessions": sessions}
    del old["digest"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    again = ["run", "--manifest", str(tmp_path / "old.json"), "--trust", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 0, done.output
    [repeated] = results.find_runs(tmp_path / "again")
    assert asked(repeated) == asked(drawn)
    file.write_text(file.read_text() + "# edited")
    assert "It was not run" in CliRunner().invoke(main, again).output
