from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clara_bench import (
    Answer,
    BackendError,
    BenchError,
    ConfigError,
    DataError,
    Example,
    Fact,
    Gold,
    Question,
    Ranked,
    Triple,
    Usage,
)
from clara_bench.records import results
from clara_bench.records.log import RecordLog
from clara_bench.records.manifest import read_manifest, write_manifest
from clara_bench.reporting.scoring import score_run
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


QUESTIONS = [Example(Question("q1", "?"), Gold(("a",))), Example(Question("q2", "?"), Gold(("b",)))]


def manifest(examples: Sequence[Example]) -> dict[str, Any]:
    """The least that a manifest holds."""
    system = {"name": "rag", "options": {}}
    task = {"name": "t", "version": 1, "answer_scorer": "squad", "metrics": ["em"], "main_metric": "em"}
    source = {"data": "worlds", "corpus": None, "aliases": None, "split": "dev", "revision": None, "world": {}}
    request = {
        "task": "t.toml", "system": system, "setting": "corpus", "source": source, "label": "", "limit": None,
        "first_stage": {"retriever": {"name": "bm25", "options": {}}, "depth": 20}, "complete_gold": False,
        "batch": 32, "seed": 0,
    }  # fmt: skip
    return {
        "request": request,
        "identity": {"setting": "corpus", "task": task, "data": {"questions": ""}},
        "task": task,
        "setting": "corpus",
        "questions": {"count": len(examples), "of": len(examples), "hash": results.questions_hash(examples)},
        "data": {"provenance": {"source": "files", "questions": 2, "passages": 0}, "hash": "", "corpus_hash": ""},
        "candidates": {"hash": "", "passages": 0, "first_stage": None},
        "system": {**system, "label": "s"},
        "models": {},
        "traits": {},
        "sessions": [],
    }


def write_run(path: Path, examples: Sequence[Example]) -> None:
    """A run directory without answers."""
    results.write_questions(path, examples)
    write_manifest(path / "manifest.json", manifest(examples))


def log(path: Path, *records: Record) -> None:
    with RecordLog(path) as file:
        file.append(records)


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    log(tmp_path, FULL, BARE)
    assert results.read_records(tmp_path) == [FULL, BARE]


def test_examples_come_back_as_they_went(tmp_path: Path) -> None:
    gold = Gold(("yes", "Yes"), frozenset({"p1"}), (Fact("A", 1),), 2, "bridge", ((Triple("a", "b", "c"),),), False)
    examples = [Example(Question("q1", "Is it?", ("p1", "p2")), gold)]
    write_run(tmp_path, examples)
    assert results.open_run(tmp_path).examples == examples


def test_the_first_runs_are_read_as_what_they_meant(tmp_path: Path) -> None:
    """They wrote [] for the whole corpus as for nothing, and for no search as for one that found nothing."""
    write_run(tmp_path, [Example(Question("q1", "?", ()), Gold(("a",)))])
    assert results.open_run(tmp_path).examples[0].question.candidates is None
    log(tmp_path, Record("q1", Answer("x")))
    file = tmp_path / "records.jsonl"
    file.write_bytes(
        file.read_bytes().replace(b'"retrieved":null', b'"retrieved":[]').replace(b',"answerable":null', b"")
    )
    assert results.open_run(tmp_path).records()[0].answer.retrieved is None


def test_a_search_that_found_nothing_is_not_the_same_as_none(tmp_path: Path) -> None:
    found, none = Record("q1", Answer("x", retrieved=()), ()), Record("q2", Answer("x", retrieved=None))
    log(tmp_path, found, none)
    assert results.read_records(tmp_path) == [found, none]


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
    with pytest.raises(DataError, match=r"records.jsonl: line 1: not JSON: "):
        results.read_records(tmp_path)


def edited(record: dict[str, Any], at: str, value: object) -> bytes:
    """A line whose value at a dotted place is another one; None at a key to be taken out."""
    *path, last = at.split(".")
    holder = record
    for step in path:
        holder = holder[step]
    holder[last] = value
    return json.dumps(record).encode() + b"\n"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        ("seconds", -5, "expected float >= 0.0 at $.seconds"),
        ("answer.usage.context_positions", -7, "expected int >= 0 at $.answer.usage.context_positions"),
        ("answer.usage.prompt_tokens", True, "expected int at $.answer.usage.prompt_tokens, got bool"),
        ("answer.usage.seconds.decode", -1, "expected float >= 0.0"),
        ("answer.usagx", {}, "unknown key 'usagx' at $.answer. Did you mean 'usage'?"),
        ("second", 1.0, "unknown key 'second'. Did you mean 'seconds'?"),
        ("answer.status", "fine", "invalid enum value 'fine'"),
        ("answer.status", "empty", "has status 'empty' and a text"),
        ("answer.text", " ", "has status 'ok' and no text"),
        ("answer.error", "none", "has status 'ok' and an error"),
        ("answer.support", [["A", -1]], "expected int >= 0 at $.answer.support[0][1]"),
        ("answer.retrieved", [["p1", 1.0]] * 9, "ranks passage 'p1' twice"),
        ("answer.retrieved", [["p1", 1.0], ["p2", 2.0]], "ranks passage 'p2' with score 2.0 behind 'p1'"),
        ("answer.retrieved", [["", 1.0]], "expected str of length >= 1"),
        ("answer_ranks", [-3], "expected int >= 1 at $.answer_ranks[0]"),
        ("answer_ranks", [3], "has answer_ranks [3]. Expected rising places of its ranking"),
        ("answer_ranks", [2, 1], "has answer_ranks [2, 1]"),
        ("answer_ranks", None, "has no answer_ranks. Expected them where it searched"),
        ("id", "", "expected str of length >= 1 at $.id"),
    ],
)
def test_a_record_edited_by_hand_is_refused_with_its_line(tmp_path: Path, at: str, value: object, message: str) -> None:
    log(tmp_path, BARE, FULL)
    bare, full = (tmp_path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_bytes(bare + edited(json.loads(full), at, value))
    with pytest.raises(BenchError, match=r"records\.jsonl: line 2: ") as caught:
        results.read_records(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["status", "usage", "retrieved", "error"])
def test_a_record_without_one_of_its_keys_is_refused(tmp_path: Path, key: str) -> None:
    log(tmp_path, FULL)
    record = json.loads((tmp_path / "records.jsonl").read_bytes())
    del record["answer"][key]
    (tmp_path / "records.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(DataError, match=rf"records.jsonl: line 1: missing key '{key}' at \$.answer"):
        results.read_records(tmp_path)


def test_an_answer_that_ranks_what_its_question_was_not_offered_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, [Example(Question("q1", "?", ("p1", "p3")), Gold(("a",)))])
    log(tmp_path, FULL)
    with pytest.raises(ConfigError, match="ranks passage 'p2', which is not among the question's candidates"):
        results.open_run(tmp_path).records()


def test_candidates_other_than_those_offered_are_refused(tmp_path: Path) -> None:
    offered = [Example(Question("q1", "?", ("p1", "p2")), Gold(("a",)))]
    given = manifest(offered)
    given["questions"]["offered"] = results.offered_hash(offered)
    results.write_questions(tmp_path, [replace(offered[0], question=Question("q1", "?", ("p1",)))])
    write_manifest(tmp_path / "manifest.json", given)
    with pytest.raises(DataError, match=r"questions.jsonl: not the 1 questions that were asked"):
        _ = results.open_run(tmp_path).examples


def test_a_record_that_contradicts_itself_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="question 'q1': the answer has answer_ranks"):
        log(tmp_path, replace(FULL, answer_ranks=(3,)))
    assert (tmp_path / "records.jsonl").read_bytes() == b""


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
    [("", "not JSON"), ("[]", "schema None, expected 2"), ('{"schema": 99}', "schema 99, expected 2")],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        results.open_run(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("task", None, "expected object at $.task, got null"),
        ("setting", "open", "invalid enum value 'open' at $.setting"),
        ("questions", {"count": "many", "hash": ""}, "expected int at $.questions.count, got str"),
        ("system", {}, "object missing required field name at $.system"),
        ("system", {"label": "../../elsewhere"}, "at $.system.label"),
        ("sessions", {}, "expected array at $.sessions, got object"),
        ("sessions", [{"questions": -1}], "expected int >= 0 at $.sessions[0].questions"),
        ("traits", {"backbone": ["x"]}, "traits: expected str at $.backbone, got array"),
        ("traits", {"bakbone": "x"}, "traits: unknown key 'bakbone'. Did you mean 'backbone'?"),
        ("settings", "corpus", "unknown key 'settings'. Did you mean 'setting'?"),
        ("setting", "distractor", "setting and request.setting are not the same"),
        (
            "data",
            {**manifest(QUESTIONS)["data"], "hash": "0"},
            "data.hash and identity.data.questions are not the same",
        ),
    ],
)
def test_a_manifest_edited_by_hand_is_refused_by_key(tmp_path: Path, key: str, value: object, message: str) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"schema": 2, **manifest(QUESTIONS), key: value}))
    with pytest.raises(DataError, match=re.escape(message)):
        read_manifest(file)


@pytest.mark.parametrize("key", manifest(QUESTIONS))
def test_a_manifest_without_one_of_its_keys_is_refused(tmp_path: Path, key: str) -> None:
    content = {k: v for k, v in manifest(QUESTIONS).items() if k != key}
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 2, **content}))
    with pytest.raises(DataError, match=f"missing required field {key}"):
        read_manifest(tmp_path / "manifest.json")


def test_a_task_that_is_installed_has_the_scorer_that_it_has(tmp_path: Path) -> None:
    given = manifest(QUESTIONS)
    task = {**given["task"], "name": "nq", "answer_scorer": "musique"}
    given |= {
        "task": task,
        "identity": {**given["identity"], "task": task},
        "request": {**given["request"], "task": "nq"},
    }
    results.write_questions(tmp_path, QUESTIONS)
    write_manifest(tmp_path / "manifest.json", given)
    with pytest.raises(DataError, match=r"task.answer_scorer is 'musique', that of version 1 of nq is 'squad'"):
        score_run(results.open_run(tmp_path))


@pytest.mark.parametrize(
    "edited",
    [QUESTIONS[:1], [*QUESTIONS, QUESTIONS[0]], [], [QUESTIONS[0], replace(QUESTIONS[1], gold=Gold(("a",)))]],
    ids=["cut", "doubled", "emptied", "gold changed"],
)
def test_questions_other_than_those_asked_are_refused(tmp_path: Path, edited: list[Example]) -> None:
    write_run(tmp_path, QUESTIONS)
    results.write_questions(tmp_path, edited)
    with pytest.raises(DataError, match=r"questions.jsonl: not the 2 questions that were asked"):
        _ = results.open_run(tmp_path).examples


def test_an_answer_to_a_question_that_was_not_asked_is_refused_by_name(tmp_path: Path) -> None:
    write_run(tmp_path, QUESTIONS)
    log(tmp_path, FULL, Record("q99", Answer("x")))
    with pytest.raises(DataError, match=r"records.jsonl: an answer to question 'q99', which is not in this run"):
        results.open_run(tmp_path).records()


def test_a_file_that_is_there_both_plain_and_packed_is_refused(tmp_path: Path) -> None:
    log(tmp_path, FULL)
    (tmp_path / "records.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match=r"both .*records.jsonl and records.jsonl.gz exist"):
        results.read_records(tmp_path)


def test_a_published_run_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(BackendError, match="is a published run"):
        RecordLog(tmp_path)
    assert not (tmp_path / "records.jsonl").exists()


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000)[:20]], ids=["other", "cut"])
def test_a_packed_file_that_is_not_whole_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "records.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"records.jsonl.gz: not a whole gzip file"):
        results.read_records(tmp_path)


def test_identity_differs_with_every_part_and_not_with_their_order() -> None:
    parts = {"task": "nq", "options": {"k": 5, "model": "m"}}
    assert results.identity(parts) == results.identity({"options": {"model": "m", "k": 5}, "task": "nq"})
    assert results.identity(parts) != results.identity({"task": "nq", "options": {"k": 6, "model": "m"}})


def test_an_unfinished_run_is_not_published(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_run(run, QUESTIONS)
    log(run, FULL)
    with pytest.raises(DataError, match="1 of 2 questions are answered"):
        results.publish([results.open_run(run)], tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("other", ['{"schema": 1, "roles": ["generator"]}', "no JSON", "{}"])
def test_a_checkpoint_among_runs_is_left_out_with_a_word(tmp_path: Path, other: str) -> None:
    for name in ("run", "best"):
        (tmp_path / name).mkdir()
    write_run(tmp_path / "run", QUESTIONS)
    (tmp_path / "best" / "manifest.json").write_text(other)
    with pytest.warns(
        UserWarning, match=r"1 folders with a manifest.json and no questions are no runs, such as .*best"
    ):
        assert [run.path.name for run in results.find_runs(tmp_path)] == ["run"]
    with pytest.raises(DataError, match="best holds no runs"):
        results.find_runs(tmp_path / "best")
