from __future__ import annotations

from pathlib import Path

import pytest

from clara_bench import Answer, DataError, Example, Fact, Gold, Question, Ranked, Triple, Usage, results
from clara_bench.types import Record

FULL = Record(
    "q1",
    Answer(
        "Zürich\n<b>",
        (Ranked("p1", 0.1 + 0.2), Ranked("p2", -1.5)),
        Usage(5, 50, 60, 2, {"retrieve": 1e-9, "decode": 0.25}),
        support=(Fact("A", 0),),
        evidences=(Triple("a", "b", "c"),),
    ),
    (1, 2),
    0.125,
)
BARE = Record("q2", Answer("", status="error", error="RuntimeError: no"))


def log(path: Path, *records: Record) -> None:
    with results.RecordLog(path) as file:
        file.append(records)


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    log(tmp_path, FULL, BARE)
    assert results.read_records(tmp_path) == [FULL, BARE]


def test_examples_come_back_as_they_went(tmp_path: Path) -> None:
    gold = Gold(("yes", "Yes"), frozenset({"p1"}), (Fact("A", 1),), 2, "bridge", ((Triple("a", "b", "c"),),), False)
    examples = [Example(Question("q1", "Is it?", ("p1", "p2")), gold)]
    results.write_questions(tmp_path, examples)
    results.write_manifest(tmp_path, {})
    assert results.open_run(tmp_path).examples == examples


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_cut_short_by_a_kill_is_left_out_and_then_overwritten(tmp_path: Path, cut: int) -> None:
    log(tmp_path, FULL, BARE)
    file = tmp_path / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert results.read_records(tmp_path) == [FULL]
    log(tmp_path, BARE)
    assert results.read_records(tmp_path) == [FULL, BARE]


def test_a_line_broken_in_the_middle_is_named(tmp_path: Path) -> None:
    log(tmp_path, FULL, BARE)
    file = tmp_path / "records.jsonl"
    file.write_bytes(b"{broken\n" + file.read_bytes())
    with pytest.raises(DataError, match=r"records.jsonl:1: not a record"):
        results.read_records(tmp_path)


def test_a_question_answered_twice_is_refused_unless_it_had_failed(tmp_path: Path) -> None:
    log(tmp_path, BARE, FULL)
    answered = Record("q2", Answer("at last"))
    log(tmp_path, answered)
    assert results.read_records(tmp_path) == [answered, FULL]
    log(tmp_path, answered)
    with pytest.raises(DataError, match="a second answer to question 'q2'"):
        results.read_records(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "not JSON"), ("[]", "schema None, expected 1"), ('{"schema": 99}', "schema 99, expected 1")],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        results.open_run(tmp_path)


def test_identity_differs_with_every_part_and_not_with_their_order() -> None:
    parts = {"task": "nq", "options": {"k": 5, "model": "m"}}
    assert results.identity(parts) == results.identity({"options": {"model": "m", "k": 5}, "task": "nq"})
    assert results.identity(parts) != results.identity({"task": "nq", "options": {"k": 6, "model": "m"}})


def test_an_unfinished_run_is_not_published(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    results.write_questions(
        run, [Example(Question("q1", "?"), Gold(("a",))), Example(Question("q2", "?"), Gold(("b",)))]
    )
    results.write_manifest(run, {"task": {"name": "t"}, "system": {"label": "s"}})
    log(run, FULL)
    with pytest.raises(DataError, match="1 of 2 questions are answered"):
        results.publish(results.open_run(run), tmp_path / "results")
    assert not (tmp_path / "results").exists()
