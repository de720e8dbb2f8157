"""Shards and their merge: the run that one command would have written, or the reason why not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clara_bench import ConfigError
from clara_bench.cli import main
from clara_bench.records.manifest import read_manifest, write_manifest
from clara_bench.records.prompts import read_prompts
from clara_bench.records.results import Run, open_run
from clara_bench.sharding.merge import merge
from clara_bench.sharding.shard import Shard

Start = Callable[..., list[Path]]

TELLING = """
from clara_bench.components import seen


class Telling(Capitals):
    def answer(self, questions):
        for question in questions:
            seen.tell(question.id, f"Q: {question.text}", ["evidence"])
        return super().answer(questions)
"""


@pytest.fixture
def start(capitals: Path, oracle: str, tmp_path: Path) -> Start:
    """Answer the capitals in batches of three, whole or as shards; returns the new folders."""
    file = Path(oracle.rpartition(":")[0])
    file.write_text(file.read_text() + TELLING, encoding="utf-8")

    def run(*extra: str, out: str = "runs") -> list[Path]:
        before = set((tmp_path / out).glob("*/*/*"))
        done = invoke(capitals, f"{file}:Telling", "--out", str(tmp_path / out), *extra)
        assert done.exit_code == 0, done.output
        return sorted(set((tmp_path / out).glob("*/*/*")) - before)

    return run


def invoke(capitals: Path, system: str, *extra: str) -> Result:
    given = ["run", "-t", str(capitals), "-s", system, "--data", str(capitals.with_name("capitals.jsonl"))]
    return CliRunner().invoke(main, [*given, "--batch", "3", *extra])


def content(run: Run) -> list[object]:
    """All that a run holds, seconds apart."""
    told = {name: part for name, part in run.manifest.items() if name not in ("sessions", "digest")}
    scores = json.loads((run.path / "scores.json").read_text())
    scores["metrics"].pop("seconds", None)
    return [told, run.examples, [replace(record, seconds=None) for record in run.records()], scores]


@pytest.mark.parametrize(
    "extra", [(), ("--setting", "retrieved"), ("--control", "shuffled", "--setting", "distractor")]
)
@pytest.mark.parametrize("of", [2, 4])
def test_a_merged_run_is_the_undivided_one_record_for_record(start: Start, of: int, extra: tuple[str, ...]) -> None:
    [whole] = start(*extra, out="whole")
    shards = [start(*extra, "--shard", f"{n}/{of}")[0] for n in range(1, of + 1)]
    merged = merge(list(reversed(shards)))
    assert merged.path.name == whole.name
    assert content(merged) == content(open_run(whole))
    assert [record.id for record in merged.records()] == [f"q{n}" for n in range(10)]
    assert sum(one["questions"] for one in merged.manifest["sessions"]) == 10


def test_a_merged_run_keeps_what_the_reader_read_byte_for_byte(start: Start) -> None:
    [whole] = start(out="whole")
    merged = merge([start("--shard", f"{n}/2")[0] for n in (1, 2)])
    prompts = [gzip.decompress((path / "prompts.jsonl.gz").read_bytes()) for path in (whole, merged.path)]
    assert prompts[0] == prompts[1]
    assert len(read_prompts(merged.path)) == 10


def test_a_shard_holds_whole_batches_and_every_question_is_in_one(start: Start) -> None:
    asked = [[example.question.id for example in open_run(start("--shard", f"{n}/3")[0]).examples] for n in (1, 2, 3)]
    assert asked == [["q0", "q1", "q2", "q9"], ["q3", "q4", "q5"], ["q6", "q7", "q8"]]


def test_a_shard_is_a_run_that_can_be_read_scored_and_repeated(start: Start, tmp_path: Path) -> None:
    [shard] = start("--shard", "2/2")
    for command in (["inspect", str(shard)], ["score", str(shard)]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    again = ["run", "--manifest", str(shard / "manifest.json"), "--trust", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(main, [*again, "--data", str(tmp_path / "capitals.jsonl")])
    assert done.exit_code == 0, done.output
    [repeated] = (tmp_path / "again").glob("*/*/*")
    assert content(open_run(repeated)) == content(open_run(shard))


def test_a_shard_that_was_stopped_goes_on(start: Start) -> None:
    [shard] = start("--shard", "1/2")
    whole = open_run(shard).records()
    lines = (shard / "records.jsonl").read_bytes().splitlines(keepends=True)
    (shard / "records.jsonl").write_bytes(b"".join(lines[:4]))
    with pytest.raises(ConfigError, match=r"4 of 6 questions are answered\. Finish it by the same command"):
        merge([shard, start("--shard", "2/2")[0]])
    assert start("--shard", "1/2") == []
    assert [record.id for record in open_run(shard).records()] == [record.id for record in whole]


def test_shards_of_another_sample_options_or_number_are_refused_with_what_differs(start: Start) -> None:
    [first] = start("--shard", "1/2")
    for extra, differs in [
        (["--shard", "2/2", "--limit", "9"], "shard.questions.hash"),
        (["--shard", "2/3"], "shard.of"),
        (["--shard", "2/2", "--seed", "1"], "identity.sample.seed"),
        (["--shard", "2/2", "-o", "error=TimeoutError"], "identity.system.options.error"),
    ]:
        [other] = start(*extra, out=differs)
        with pytest.raises(ConfigError, match=f"is not of the same run as .* differ in: .*{differs}"):
            merge([first, other])


def test_shards_by_other_code_or_packages_are_refused(start: Start) -> None:
    shards = [start("--shard", f"{n}/2")[0] for n in (1, 2)]
    manifest = read_manifest(shards[1] / "manifest.json")
    for name, value in [("clara_bench", "0.0.1"), ("packages", {"torch": "1.0"})]:
        session = {**manifest["sessions"][0], name: value}
        write_manifest(shards[1] / "manifest.json", {**manifest, "sessions": [session]})
        with pytest.raises(ConfigError, match=f"differ in: {name}"):
            merge(shards)


def test_missing_doubled_and_whole_runs_are_refused(start: Start, tmp_path: Path) -> None:
    shards = [start("--shard", f"{n}/4")[0] for n in (1, 2, 4)]
    with pytest.raises(ConfigError, match=r"1 of 4 shards are missing: 3\. Run the same command with --shard 3/4"):
        merge(shards)
    with pytest.raises(ConfigError, match="shard 2/4 is given twice"):
        merge([*shards, shards[1]])
    with pytest.raises(ConfigError, match="is a whole run, no shard"):
        merge([*shards, start()[0]])


def test_an_edited_question_is_refused(start: Start) -> None:
    shards = [start("--shard", f"{n}/2")[0] for n in (1, 2)]
    file = shards[0] / "questions.jsonl"
    file.write_text(file.read_text().replace("capital of Norway", "capital of Sweden"))
    done = CliRunner().invoke(main, ["merge", *map(str, shards)])
    assert done.exit_code == 2
    assert "not the 6 questions that were asked" in done.output


def test_a_merge_never_writes_over_a_run(start: Start) -> None:
    shards = [start("--shard", f"{n}/2")[0] for n in (1, 2)]
    merge(shards)
    with pytest.raises(ConfigError, match="is there already"):
        merge(shards)


def test_the_command_without_shard_finds_the_merged_run_complete(start: Start) -> None:
    merged = merge([start("--shard", f"{n}/2")[0] for n in (1, 2)])
    sessions = merged.manifest["sessions"]
    assert start() == []
    assert open_run(merged.path).manifest["sessions"] == sessions


def test_a_shard_of_another_limit_in_the_same_folder_is_refused(start: Start, capitals: Path, tmp_path: Path) -> None:
    start("--shard", "1/2")
    system = f"{tmp_path / 'oracle.py'}:Telling"
    done = invoke(capitals, system, "--out", str(tmp_path / "runs"), "--shard", "1/2", "--limit", "8")
    assert done.exit_code == 2
    assert "holds a shard of another run: its " in done.output
    assert "questions.hash" in done.output


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/4/2", "-1/4", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected NUMBER/OF"):
        Shard.parse(text)


def test_more_shards_than_batches_are_refused(capitals: Path, oracle: str) -> None:
    done = invoke(capitals, oracle, "--shard", "5/5")
    assert done.exit_code == 2
    assert "10 questions in batches of 3 make 4 shards at most" in done.output


def test_a_leaderboard_leaves_shards_out_and_says_so(start: Start, tmp_path: Path) -> None:
    shards = [start("--shard", f"{n}/2")[0] for n in (1, 2)]
    merge(shards)
    done = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    assert "2 shards are left out" in done.output
