"""`explain`: ladders that add up, and a cause for each wrong answer."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.analysis.explain import Explained, _Answered, _from_passages, _rungs, explain, judged
from clara_bench.cli import main
from clara_bench.metrics import get
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.reporting.leaderboard import control_of
from clara_bench.reporting.scored import Remembering, Scorer

MUSIQUE = Path(__file__).parent.parent / "results" / "musique"


@pytest.fixture(scope="module")
def published() -> list[Run]:
    """The published runs over synthetic MuSiQue questions that the ladders below are made of."""
    labels = {"clara-8x", "recomp-4x", "bm25-text", "gold-clara-8x", "gold-recomp-4x", "gold-text", "closed-book"}
    runs = [run for run in find_runs(MUSIQUE) if run.manifest["system"]["label"] in labels]
    made_up = [run for run in runs if run.manifest["data"]["provenance"]["source"] == "worlds"]
    return [run for run in made_up if not control_of(run)]


@pytest.fixture(scope="module")
def explained(published: list[Run]) -> dict[str, Explained]:
    scorer = Remembering(Scorer())
    made = [run for run in published if run.manifest["setting"] == "distractor"]
    return {one.run.manifest["system"]["label"]: one for one in (explain(run, published, "em", scorer) for run in made)}


def test_a_ladder_s_steps_add_up_from_closed_book_to_gold_as_text(explained) -> None:
    rungs = {rung.name: rung for rung in explained["clara-8x"].rungs}
    assert [name for name, rung in rungs.items() if rung.run is None] == ["candidates"]
    labels = {name: rung.run.manifest["system"]["label"] for name, rung in rungs.items() if rung.run}
    assert labels == {"closed-book": "closed-book", "retrieved": "clara-8x", "gold": "gold-clara-8x",
                      "gold uncompressed": "gold-text"}  # fmt: skip
    steps = [rung.step.mean for rung in rungs.values() if rung.step]
    assert len(steps) == 3
    assert rungs["closed-book"].value + sum(steps) == pytest.approx(rungs["gold uncompressed"].value)
    assert "gold uncompressed" not in {rung.name for rung in explained["bm25-text"].rungs}  # nothing is compressed


def test_a_control_with_random_passages_is_the_rung_below_what_was_retrieved(published) -> None:
    by_label = {run.manifest["system"]["label"]: run for run in published}
    run, other = by_label["bm25-text"], by_label["closed-book"]
    asked = {**run.manifest["request"], "control": "random"}
    control = Run(other.path, {**run.manifest, "request": asked})  # type: ignore[typeddict-item]
    rungs = {rung.name: rung for rung in explain(run, [*published, control], "em", Scorer()).rungs}
    assert rungs["candidates"].run is control
    assert rungs["retrieved"].run is run
    last = {**run.manifest["request"], "control": "last"}
    unused = Run(other.path, {**run.manifest, "request": last})  # type: ignore[typeddict-item]
    assert not any(rung.run is unused for rung in _rungs(run, [*published, unused]))


def test_all_steps_shown_are_one_family(explained) -> None:
    done = judged(list(explained.values()))
    families = {rung.verdict.family for one in done for rung in one.rungs if rung.verdict}
    assert families == {sum(rung.step is not None for one in done for rung in one.rungs)}


def test_every_question_has_one_cause_and_it_is_what_the_records_say(explained, published) -> None:
    gold = {run.manifest["system"]["label"]: run for run in published}
    em = get("em", "musique")

    def right(label: str) -> set[str]:
        examples, records = gold[label].answered()
        truths = {example.question.id: example.gold for example in examples}
        return {record.id for record in records if em.score(truths[record.id], record)}

    for label in ("recomp-4x", "bm25-text"):
        one = explained[label]
        examples, records = one.run.answered()
        read = {record.id: {r.passage_id for r in (record.answer.retrieved or ())[:5]} for record in records}
        fates = {fate.id: fate.cause for fate in one.fates}
        assert set(fates) == {example.question.id for example in examples}
        assert {id for id, cause in fates.items() if cause == "right"} == right(label)
        lost = right("gold-text") - right("gold-recomp-4x")
        for example in examples:
            found = example.gold.supporting <= read[example.question.id]
            cause = fates[example.question.id]
            assert cause in {True: ("right", "misread", "lost in compression", "formatting"),
                             False: ("right", "not retrieved", "formatting")}[found]  # fmt: skip
            if cause == "lost in compression":
                assert example.question.id in lost
    counts = Counter(fate.cause for fate in explained["recomp-4x"].fates)
    assert counts == {"right": 12, "not retrieved": 478, "lost in compression": 8, "misread": 2}


@pytest.mark.parametrize(
    ("text", "compressed", "compresses", "cause"),
    [
        ({"q": 1.0}, {"q": 0.0}, True, "lost in compression"),
        ({"q": 1.0}, {"q": 1.0}, True, "misread"),
        ({"q": 0.0}, {"q": 0.0}, True, "misread"),
        ({}, {"q": 0.0}, True, "undecided"),
        ({"q": 1.0}, {}, True, "undecided"),
        ({}, {}, False, "misread"),
    ],
)
def test_compression_is_blamed_only_where_the_text_is_answered_and_what_is_left_of_it_is_not(
    text, compressed, compresses, cause
) -> None:
    assert _from_passages("q", _Answered(compressed, text, compresses)) == cause


def test_failures_and_answers_that_say_more_than_was_asked_have_their_own_cause(answered) -> None:
    lame = answered("lame", "-o", "fail=q3")
    records = lame / "records.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    lines[0]["answer"]["text"] = f"I think it is {lines[0]['answer']['text']}, is it not?"
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    [one] = [explain(open_run(lame), [open_run(lame)], "em", Scorer())]
    fates = {fate.id: fate.cause for fate in one.fates}
    assert fates["q3"] == "failed"
    assert fates[lines[0]["id"]] == "formatting"
    assert set(fates.values()) == {"failed", "formatting", "right"}


def test_the_command_prints_ladder_and_causes_by_hops_and_kind_in_every_format(tmp_path: Path) -> None:
    words = ["explain", str(MUSIQUE / "clara-8x")]
    done = CliRunner().invoke(main, [*words, "--wide"])
    assert done.exit_code == 0, done.output
    assert re.search(r"^retrieved +14\.0 +[+-][0-9.]+ +[+-][0-9.]+ to .* clara-8x", done.output, flags=re.M)
    assert re.search(r"^gold +92\.2 +\+78\.2 +\+74\.2 to \+81\.6 +<\.001 +gold-clara-8x", done.output, flags=re.M)
    assert re.search(r"^4 hops +125 +8\.0 +92\.0 +0\.0", done.output, flags=re.M)
    assert re.search(r"^3hop1 +83 ", done.output, flags=re.M)
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(main, [*words, "-f", "csv"]).output)))
    assert len(rows) == 500
    [found] = json.loads(CliRunner().invoke(main, [*words, "-f", "json"]).output)
    assert found["causes"]["all questions"]["all"] == dict(Counter(row["cause"] for row in rows))
    assert found["ladder"][0]["rung"] == "closed-book"
    assert CliRunner().invoke(main, [*words, "-o", str(tmp_path / "t.md")]).exit_code == 0


def test_a_folder_without_runs_is_an_error_with_its_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["explain", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no runs" in done.output
