"""What a report holds is what the commands say, and everything in it is text."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.analysis.explain import Explained
from clara_bench.cli import main
from clara_bench.records.results import Run, find_runs
from clara_bench.report import bundle, page, words
from clara_bench.report import collect as collecting
from clara_bench.report.collect import Collected, Wish, collect
from clara_bench.report.columns import LONGEST
from clara_bench.report.curves import logs
from clara_bench.report.model import places
from clara_bench.report.questions import sample
from clara_bench.report.words import Compared
from clara_bench.reporting.comparison import compare
from clara_bench.reporting.leaderboard import boards
from clara_bench.reporting.scored import Scorer


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


def test_the_rows_are_those_of_the_leaderboard(runs: Path, collected: Collected) -> None:
    [board] = boards(find_runs(runs))
    [table] = collected.report.tables
    assert [row.label for row in table.rows] == [row.label for row in board.rows] == ["reads", "guesses"]
    for told, row in zip(table.rows, board.rows, strict=True):
        assert told.metrics["em"] == (row.metrics["em"].mean, *row.metrics["em"].ci95)
        assert ("em" in told.best) == (told.label == "reads")


SYSTEMS: list[tuple[str, str | None, dict[str, Any], dict[str, Any], str]] = [
    ("closed", None, {"reader": {"name": "hf", "options": {"model": "me/it"}}}, {}, "no passage; read by hf (me/it)"),
    ("gold", "last", {"checkpoint": "tiny-text"}, {}, "the last gold passage alone, as text; read by tiny-text"),
    ("corpus", None, {"k": 5, "retriever": {"name": "bm25", "options": {}}, "compressor": {"name": "exit"}},
     {"compressor": "exit", "backbone": "B"}, "the 5 passages that bm25 ranks first, shortened by exit; read by B"),
    ("distractor", "shuffled", {"k": 2, "checkpoint": "tiny-8x"}, {"compressor": "clara", "nominal_ratio": 8.0},
     "the 2 passages that the system itself ranks first for another question, as memories by clara at 8x nominal; "
     "read by tiny-8x"),
    ("gold", None, {"press": "knorm", "reader": "mine"}, {"nominal_ratio": 2.0},
     "the gold passages, as keys and values that knorm keeps at 2x"),
    ("distractor", None, {}, {}, "the passages that the system itself ranks first, as text"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "control", "options", "traits", "said"), SYSTEMS)
def test_a_system_is_told_in_words(
    setting: str, control: str | None, options: dict[str, Any], traits: dict[str, Any], said: str
) -> None:
    manifest = {"system": {"options": options}, "traits": traits, "setting": setting, "request": {"control": control}}
    assert words.described(manifest) == said


def test_a_pair_is_the_difference_that_compare_prints(runs: Path, collected: Collected) -> None:
    by_label = {run.manifest["system"]["label"]: run for run in find_runs(runs)}
    less = compare(by_label["reads"], by_label["guesses"], ["em"])["em"]
    [table] = collected.report.tables
    assert table.pairs.family == 1 and places(len(table.rows)) == [(0, 1)]
    assert (table.pairs.mean, table.pairs.p_holm) == ([less.mean], [less.p])
    assert (table.pairs.low[0], table.pairs.high[0]) == less.ci95
    (mean, low, high), _ = Compared(table.pairs, 2).less(0, 1)
    assert (mean, low, high) == (-less.mean, -less.ci95[1], -less.ci95[0])


def test_outcomes_hold_em_and_cause_of_every_question(collected: Collected) -> None:
    [packed] = collected.questions
    outcomes = unpacked(packed.outcomes)
    assert len(outcomes) == 2 * 3 * 10
    em = [list(outcomes[30 * row : 30 * row + 10]) for row in (0, 1)]
    assert em[0] == [1] * 10
    assert em[1] == [1, 1, *[0] * 8]
    asked = json.loads(unpacked(packed.asked))
    assert asked["ids"] == [f"q{place}" for place in range(10)]


def test_a_question_shows_gold_ranking_and_answers(collected: Collected) -> None:
    [packed] = collected.questions
    [chunk] = [json.loads(unpacked(one)) for one in packed.chunks]
    told = chunk["questions"]["q1"]
    assert (told["gold"], told["supporting"]) == (["Rome"], ["p1"])
    assert told["rows"]["0"]["answer"] == "Rome" and told["rows"]["0"]["ranked"][0] == "p1"


def test_endless_answers_are_shortened_and_turning_characters_replaced(collected: Collected) -> None:
    held = b"".join(unpacked(one) for one in collected.questions[0].chunks).decode()
    assert len(held) < 10 * LONGEST
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", held)


def test_the_summary_says_what_was_tested(collected: Collected) -> None:
    [choice] = collected.report.tables[0].choices
    assert choice.sentence is not None
    assert "after Holm over 1 pairs" in choice.sentence.text and "reads has EM 100.0 %" in choice.sentence.text
    assert collected.report.headline == choice.sentence.text


def test_a_dearer_row_is_only_recommended_for_a_significant_gain(collected: Collected) -> None:
    [choice] = collected.report.tables[0].choices
    assert [collected.report.tables[0].rows[one.row].label for one in choice.budgets] == ["guesses", "reads"]
    assert choice.budgets[1].over == choice.budgets[0].row
    assert choice.budgets[1].p_holm == collected.report.tables[0].pairs.p_holm[0]


def test_the_sample_is_the_same_in_every_report_and_grows(runs: Path) -> None:
    examples = find_runs(runs)[0].examples
    few, more = ([one.question.id for one in sample(examples, most)] for most in (3, 6))
    assert len(few) == 3 and set(few) < set(more)
    assert sample(examples, 99) == list(examples)


def test_questions_beyond_the_sample_keep_their_outcomes(runs: Path) -> None:
    found = collect(find_runs(runs), Wish("few", questions=2), Scorer(), lambda run: {})
    asked = json.loads(unpacked(found.questions[0].asked))
    assert found.report.tables[0].detailed == 2 == sum(place is not None for place in asked["chunk"])
    assert len(asked["ids"]) == 10


def test_a_run_that_cannot_be_read_is_told_and_left_out(runs: Path) -> None:
    broken = next(runs.glob("*/guesses/*/records.jsonl"))
    broken.write_text("{}\n", encoding="utf-8")
    told = collect(find_runs(runs), Wish("x"), Scorer(), lambda run: {}).report
    assert [row.label for row in told.tables[0].rows] == ["reads"]
    assert len(told.left_out) == 1 and "records.jsonl" in told.left_out[0]


def test_a_run_in_progress_is_shown_with_what_it_has_answered(runs: Path) -> None:
    records = next(runs.glob("*/guesses/*/records.jsonl"))
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    told = collect(find_runs(runs), Wish("x"), Scorer(), lambda run: {}).report
    assert {row.label: row.answered for row in told.tables[0].rows} == {"reads": 10, "guesses": 4}


def test_a_run_that_has_just_begun_is_shown_as_all_wrong(runs: Path) -> None:
    next(runs.glob("*/guesses/*/records.jsonl")).write_bytes(b"")
    told = collect(find_runs(runs), Wish("x"), Scorer(), lambda run: {}).report.tables[0]
    [row] = [one for one in told.rows if one.label == "guesses"]
    assert row.answered == 0 and row.failed == 10 and row.metrics["em"][0] == 0.0
    assert told.pairs.mean == [-1.0]


def test_curves_are_read_from_training_logs_and_averaged(tmp_path: Path) -> None:
    log = tmp_path / "tiny" / "log.jsonl"
    log.parent.mkdir()
    steps = [{"step": step, "loss": float(step), "seconds": 1.0, "note": "x"} for step in range(1, 801)]
    log.write_text("".join(json.dumps(one) + "\n" for one in steps) + '{"step": 801, "lo', encoding="utf-8")
    [found] = logs([tmp_path])
    [curve] = found.curves
    assert (curve.training, curve.name, len(curve.steps)) == ("tiny", "loss", 400)
    assert (curve.steps[0], curve.values[0]) == (1.5, 1.5)


def test_the_page_allows_nothing_but_its_own_scripts(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src &#39;none&#39;" in policy and "unsafe" not in policy and "connect-src &#39;none&#39;" in policy
    assert policy.count("sha256-") == 3
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;" in text


def test_the_same_runs_give_the_same_page(runs: Path, collected: Collected) -> None:
    assert page.html(collected) == page.html(collect(find_runs(runs), Wish("capitals <b>&"), Scorer(), lambda run: {}))


def test_parts_lie_beside_the_page(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "large" / "index.html"
    done = CliRunner().invoke(main, ["report", str(runs), "-o", str(file), "--parts"])
    assert done.exit_code == 0, done.output
    assert {one.name for one in (file.parent / "parts").iterdir()} == {"asked-0.js", "outcomes-0.js", "chunk-0-0.js"}
    assert 'id="asked-0"' not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nowhere"], "no such folder: nowhere"),
        (["{runs}", "-o", "report.pdf"], "expected a name that ends in .html"),
        (["{runs}", "--training", "nowhere"], "nowhere: no training log"),
    ],
)
def test_what_cannot_be_done_is_one_line(runs: Path, given: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["report", *(one.format(runs=runs) for one in given)])
    assert done.exit_code == 2 and said in done.output and "Traceback" not in done.output


def test_without_the_extra_the_command_says_how_to_get_it(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "vl_convert", None)
    done = CliRunner().invoke(main, ["report", str(runs)])
    assert done.exit_code == 2
    assert "clara-bench report needs vl-convert-python: pip install 'clara-bench[report]'" in done.output


def test_the_bundle_closes_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        def javascript_bundle(self, snippet: str) -> str:
            return f"'</script><!--'; {snippet}"

    made = bundle._inlined(Module())
    assert "</script" not in made and "<!--" not in made


def test_of_runs_that_are_read_none_keeps_its_files(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Explained] = []
    real = collecting.judged
    monkeypatch.setattr(collecting, "judged", lambda found: kept.extend(found) or real(found))
    collect(find_runs(runs), Wish("capitals"), Scorer(), lambda run: {})
    assert len(kept) == 2
    held = [one.run for one in kept] + [rung.run for one in kept for rung in one.rungs if rung.run]
    assert {type(run) for run in held} == {Run}
