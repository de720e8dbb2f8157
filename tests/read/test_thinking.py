"""Thoughts of reasoning models: part of the answer, or beside it in the record, as the user says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.read.thinking import without_thinking
from clara_bench.records.results import find_runs
from clara_bench.types import Answer, Reading, Usage

READER = """\
from dataclasses import dataclass

from clara_bench import Reading, Usage
from clara_bench.read.thinking import Thinking, without_thinking


class Thinker:
    @dataclass(frozen=True)
    class Options:
        thinking: Thinking = "keep"

    def __init__(self, options):
        self.options = options

    def describe(self):
        return {"model": "thinker"}

    def context_tokens(self, contexts):
        return [0 for _ in contexts]

    def read(self, questions, contexts):
        said = "<think>Is it Rome?</think>\\n\\nOslo"
        return [without_thinking(Reading(said, Usage(generated_tokens=9)), self.options.thinking) for _ in questions]
"""


def stripped(text: str, status: str = "ok") -> Reading:
    return without_thinking(Reading(text, Usage(), status), "strip")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("<think>Rome? No.</think>\nOslo", "Oslo", "Rome? No."),
        ("Rome? No.</think> Oslo", "Oslo", "Rome? No."),
        ("<think></think>Oslo", "Oslo", ""),
        ("<think>a</think>b<think>c</think> Oslo ", "Oslo", "a</think>b<think>c"),
        ("Oslo", "Oslo", ""),
        ("1 < 2 and <thin>", "1 < 2 and <thin>", ""),
    ],
)
def test_the_answer_is_what_follows_the_last_thought(text: str, answer: str, thoughts: str) -> None:
    found = stripped(text)
    assert (found.text, found.thinking, found.status) == (answer, thoughts, "ok")


def test_thoughts_without_an_end_leave_no_answer() -> None:
    assert stripped("<think>Rome or").text == ""
    assert stripped("<think>Rome or").status == "empty"
    assert stripped("<think>Rome or", "truncated").status == "truncated"


def test_thoughts_are_kept_in_the_answer_by_default() -> None:
    reading = Reading("<think>Rome?</think>Oslo", Usage())
    assert without_thinking(reading, "keep") == reading


def test_records_written_before_there_were_thoughts_are_read() -> None:
    old = msgspec.json.decode(msgspec.json.encode(Answer("Oslo")))
    del old["thinking"]
    assert msgspec.convert(old, Answer) == Answer("Oslo")


@pytest.mark.parametrize("thinking", ["keep", "strip"])
def test_a_run_records_thoughts_beside_the_answers_that_it_scores(
    capitals: Path, tmp_path: Path, thinking: str
) -> None:
    (tmp_path / "thinker.py").write_text(READER)
    given = ["-o", f"reader={tmp_path / 'thinker.py'}:Thinker", "-o", f"reader.thinking={thinking}"]
    done = CliRunner().invoke(
        main, ["run", "-t", str(capitals), "-s", "closed-book", *given, "--out", str(tmp_path / "runs")]
    )
    assert done.exit_code == 0, done.output
    [run] = find_runs(tmp_path / "runs")
    answers = [record.answer for record in run.records()]
    assert {answer.thinking for answer in answers} == ({"Is it Rome?"} if thinking == "strip" else {""})
    assert sum(answer.text == "Oslo" for answer in answers) == (len(answers) if thinking == "strip" else 0)
