"""Rows with a teacher's words: the same after a kill, in the form that training reads, and nothing made up."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import ConfigError, DataError
from reference.cli import main
from reference.data.row import Row, Turn
from reference.data.row_files import Lines, read_instruct, write_instruct
from reference.data.sources import open_source
from reference.settings.config import Config, load
from reference.settings.shipped import config_file
from reference.synthesis import distillation
from reference.synthesis.parts import Part
from reference.systems.serving import Weights
from reference.systems.text import text_prompt
from reference.training.checks import data_options
from reference.training.launch import run_stage
from reference.weights.manifest import read_manifest

CONFIG = {"data": {"instruct": {"documents": [1, 1]}}}


@pytest.fixture
def debug() -> Config:
    return load(config_file("debug"), CONFIG)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "CHUNK", 2)


def test_targets_are_the_teachers_words_and_passages_and_questions_the_rows(debug: Config, tmp_path: Path):
    out = tmp_path / "taught.jsonl"
    done = distillation.teach(debug, "instruct", "tiny-text", out, 3)
    source, weights = open_source("instruct", data_options(debug, "instruct")), Weights("tiny-text", ("generator",))
    rows, asked = list(read_instruct(out)), [source[number] for number in range(3)]
    assert done.rows == 3 and done.turns == len(rows) and done.turns + done.dropped == sum(len(r.turns) for r in asked)
    assert done.turns >= 3
    by_id = {row.id: row for row in asked}
    for row in rows:
        theirs, [turn] = by_id[row.id], row.turns
        assert row.documents == theirs.documents and row.positives == theirs.positives
        assert turn.question in {one.question for one in theirs.turns}
        passages = weights.model.prompter.documents(row.documents)
        [said] = weights.model.answer([text_prompt(weights, turn.question, passages, 64).prompt], max_new_tokens=64)
        assert said.text == (f"{turn.chain} ; {turn.answer}" if turn.chain else turn.answer)


def test_a_killed_run_goes_on_and_ends_with_the_same_file(
    debug: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "taught.jsonl"
    distillation.teach(debug, "instruct", "tiny-text", whole, 5)
    answers, calls = distillation._answers, count()

    def killed(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return answers(*arguments)

    monkeypatch.setattr(distillation, "_answers", killed)
    with pytest.raises(KeyboardInterrupt):
        distillation.teach(debug, "instruct", "tiny-text", out, 5)
    assert not out.exists()
    journal = out.with_name("taught.jsonl.journal")
    with journal.open("ab") as stream:
        stream.write(b'{"number":2,"said":[["half a li')  # as a kill leaves it
    before = next(calls)
    distillation.teach(debug, "instruct", "tiny-text", out, 5)
    assert next(calls) - before == 2  # one chunk was left
    assert out.read_bytes() == whole.read_bytes()
    assert [json.loads(line)["number"] for line in journal.read_text().splitlines()[1:]] == [0, 1, 2]


def test_other_settings_do_not_go_on_with_a_journal(debug: Config, tmp_path: Path):
    out = tmp_path / "taught.jsonl"
    distillation.teach(debug, "instruct", "tiny-text", out, 1)
    with pytest.raises(ConfigError, match="max_new_tokens 64, now 8"):
        distillation.teach(debug, "instruct", "tiny-text", out, 1, max_new_tokens=8)


def test_what_is_taught_trains_a_step(debug: Config, tmp_path: Path):
    out = tmp_path / "taught.jsonl"
    distillation.teach(debug, "instruct", "tiny-text", out, 4)
    taught = load(config_file("debug"), {"stages": {"distil": {"stage": "instruct", "steps": 1, "batch": 2, "parallel":
        {"micro_batch": 2}}}, "data": {"distil": {"path": str(out), "together": True}},
        "evaluation": {"distil": {"tasks": []}}})  # fmt: skip
    best = run_stage(taught, "distil", tmp_path / "run")
    assert set(read_manifest(best).roles) == {"compressor", "generator"}


def test_an_unfinished_or_empty_answer_is_left_out():
    row = Row("r", ("A\na",), tuple(Turn(question, "gold") for question in "abcd"))
    kept = distillation._taught(row, ["x ; y ; z", None, "x ; ", "w"])
    assert kept.turns == (Turn("a", "z", "x ; y"), Turn("d", "w"))


def test_questions_over_the_same_passages_are_one_row_again_if_so_asked(tmp_path: Path):
    rows = [Row(f"{n}", (f"A\n{n}",), tuple(Turn(f"{q}?", "yes", "c") for q in range(n))) for n in (3, 1, 2)]
    for name in ("rows.jsonl", "rows.jsonl.gz"):
        write_instruct(rows, tmp_path / name)
        apart, together = (Lines(tmp_path / name, "instruct", joined) for joined in (False, True))
        assert apart.size == 6 and together.size == 3
        assert [together[place] for place in (2, 0, 1)] == [rows[2], rows[0], rows[1]]


def test_the_command_writes_rows_and_refuses_stages_without_questions(tmp_path: Path):
    out = str(tmp_path / "taught.jsonl")
    done = CliRunner().invoke(main, ["teach", "debug", out, "--teacher", "tiny-text", "--rows", "1"])
    assert done.exit_code == 0 and "1 rows" in done.output, done.output
    done = CliRunner().invoke(main, ["teach", "debug", out, "--teacher", "tiny-text", "--stage", "joint"])
    assert done.exit_code == 2 and "expected 'text' or 'instruct'" in done.output


def test_merged_parts_are_the_file_of_one_run(debug: Config, tmp_path: Path):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "taught.jsonl"
    expected = distillation.teach(debug, "instruct", "tiny-text", whole, 5)
    parts = [distillation.teach(debug, "instruct", "tiny-text", out, 5, part=Part(n, 2)) for n in (1, 2)]
    assert sum(part.turns for part in parts) == expected.turns and all(part.turns for part in parts)
    assert distillation.teach(debug, "instruct", "tiny-text", out, 5, merged=2) == expected
    assert out.read_bytes() == whole.read_bytes()
    with pytest.raises(DataError, match=r"part-1-of-2-taught\.jsonl: unfinished, number 2 is missing"):
        distillation.teach(debug, "instruct", "tiny-text", out, 7, merged=2)
