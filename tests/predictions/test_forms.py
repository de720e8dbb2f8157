"""Each form in use is read from a real-shaped file, said for what it is, and scores as the official script has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clara_bench.errors import DataError, UnknownName
from clara_bench.predictions import FORMS, read_predictions
from clara_bench.predictions.spellings import IDS, PLAIN_ANSWERS, QUESTIONS
from clara_bench.reporting import scoring
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source, TaskData

DATA = Path(__file__).parent.parent / "data"
FILES = DATA / "predictions"
EXPECTED: list[dict[str, Any]] = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))


def data_of(row: dict[str, Any]) -> TaskData:
    corpus = str(DATA / row["corpus"]) if "corpus" in row else "none"
    return sources.load(definitions.load(row["task"]), Source(str(DATA / row["data"]), corpus))


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["file"])
def test_a_form_scores_as_its_official_script_has_it(row: dict[str, Any]) -> None:
    data = data_of(row)
    found = read_predictions(FILES / row["file"], data, variant=row.get("variant"))
    assert found.form == row["form"]
    scorer = "squad" if row["task"] == "nq" else data.task.answer_scorer
    setting = "corpus" if "corpus" in row else "distractor"
    scores = scoring.score(data.examples, found.records, list(row["metrics"]), scorer, setting, without=found.without)
    means = {name: summary.mean for name, summary in scores.metrics.items()}
    assert means == pytest.approx(row["metrics"], abs=1e-9, rel=0)


def test_every_form_has_a_file_and_every_file_is_expected() -> None:
    assert {row["form"] for row in EXPECTED} == {form.name for form in FORMS}
    files = {path.name for path in FILES.iterdir()} - {"README.md", "expected.json"}
    assert {row["file"] for row in EXPECTED} == {name for name in files if ".data." not in name}
    assert len(EXPECTED) > 25


def test_every_form_and_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "predictions.md").read_text(encoding="utf-8")
    assert [form.name for form in FORMS if f"| {form.name} |" not in page] == []
    assert [key for key in (*IDS, *QUESTIONS, *PLAIN_ANSWERS) if f"`{key}`" not in page] == []


def test_what_is_no_answer_is_not_scored_as_a_wrong_one() -> None:
    for row in EXPECTED:
        found = read_predictions(FILES / row["file"], data_of(row), variant=row.get("variant"))
        assert ("answer" in found.without) == ("em" not in row["metrics"]), row["file"]


def test_several_answers_to_a_question_are_refused_until_one_is_chosen() -> None:
    for name, variants in (
        ("samples_of_two_filters.jsonl", "'filter strict-match', 'filter flexible-extract'"),
        ("dpr_reader_of_two_depths.json", "'top_k 10', 'top_k 50'"),
    ):
        row = next(row for row in EXPECTED if row["file"] == name)
        with pytest.raises(DataError, match=f"several answers per question: {variants}. Choose one with --variant"):
            read_predictions(FILES / name, data_of(row))
        with pytest.raises(UnknownName, match=f"{name}: unknown variant 'x'"):
            read_predictions(FILES / name, data_of(row), variant="x")
