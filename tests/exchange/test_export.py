"""What leaves the harness is whole, can be read back, is harmless, and is of the published schema."""

from __future__ import annotations

import csv
import io
import json
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import DataError
from clara_bench.exchange import tables, trec
from clara_bench.exchange.every_eval import Evaluator, record
from clara_bench.records.results import Run, find_runs, open_run
from clara_bench.reporting.scoring import score_run

ROOT = Path(__file__).parent.parent.parent


def invoke(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def published() -> Run:
    """A run over synthetic questions, of a system that searches."""
    [run] = [one for one in find_runs(ROOT / "results" / "musique") if one.manifest["system"]["label"] == "clara-8x"]
    return run


@pytest.fixture
def answered(capitals: Path, oracle: str, tmp_path: Path):
    def run(label: str, *extra: str) -> Path:
        data = str(capitals.with_name("capitals.jsonl"))
        given = ["run", "-t", str(capitals), "-s", oracle, "--data", data, "--out", str(tmp_path / "runs")]
        invoke(*given, "--label", label, *extra)
        [folder] = (tmp_path / "runs").glob(f"*/{label}/*")
        return folder

    return run


def mean(said: str, name: str) -> float:
    value: float = json.loads(said[said.index("{") :])[name]["mean"]
    return value


def test_a_trec_run_and_its_qrels_score_as_the_run_does(answered, capitals: Path, tmp_path: Path) -> None:
    run = answered("whole")
    invoke("export", str(run), "-o", str(tmp_path / "out.trec"))
    invoke("export", str(run), "-o", str(tmp_path / "gold.qrels"))
    assert (tmp_path / "gold.qrels").read_text(encoding="utf-8").splitlines()[0] == "q0 0 p0 1"
    data = str(capitals.with_name("capitals.jsonl"))
    given = [str(capitals), str(tmp_path / "out.trec"), "--data", data, "-m", "recall@1", "--json"]
    assert mean(invoke("score", *given), "recall@1") == 1.0
    assert mean(invoke("score", *given, "--qrels", str(tmp_path / "gold.qrels")), "recall@1") == 1.0


def test_qrels_of_others_take_the_place_of_the_gold_passages(answered, capitals: Path, tmp_path: Path) -> None:
    run, qrels = answered("whole"), tmp_path / "beir.tsv"
    invoke("export", str(run), "-o", str(tmp_path / "out.trec"))
    qrels.write_text("query-id\tcorpus-id\tscore\nq0\tp0\t2\nq0\tp1\t1\nq1\tp5\t1\nq1\tp1\t0\n", encoding="utf-8")
    given = [str(capitals), str(tmp_path / "out.trec"), "--data", str(capitals.with_name("capitals.jsonl")), "--json"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = invoke("score", *given, "--qrels", str(qrels), "-m", "recall@1")
    assert "8 of 10 questions are not judged" in said
    assert mean(said, "recall@1") == 0.25  # half of q0's two, none of q1's one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q0 0 p0 one\nq1 0 p0 1", "line 1: expected 'question 0 passage grade'"),
        ("q0 0 p0 1\nq0 0 p0 2", "line 2: question 'q0' has passage 'p0' twice"),
        ("", "no judgements"),
        ("q0 0 p0 1\nq0 p0", "line 2: expected"),
    ],
)
def test_a_file_that_is_no_qrels_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.qrels").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        trec.read_qrels(tmp_path / "x.qrels")


def test_qrels_of_other_questions_and_runs_without_rankings_are_refused(answered, published: Run) -> None:
    with pytest.raises(DataError, match="it judges none of the"):
        trec.with_qrels(published.examples, {"other": {"p": 1}}, "x.qrels")
    closed = next(one for one in find_runs(ROOT / "results" / "musique") if one.manifest["setting"] == "closed")
    with pytest.raises(DataError, match="no answer has a ranking"):
        trec.run_lines(closed)


def test_a_table_has_each_question_once_with_its_answer_and_the_metrics_of_the_run(published: Run) -> None:
    found = tables.rows(published, ("em", "f1", "recall@5", "seconds"))
    scores = score_run(published, ("em", "f1", "recall@5")).metrics
    assert [row["id"] for row in found] == [example.question.id for example in published.examples]
    for name, summary in scores.items():
        values = [row[name] for row in found if row[name] is not None]
        assert len(values) == summary.n
        assert sum(values) / len(values) == pytest.approx(summary.mean)
    assert {row["status"] for row in found} <= {"ok", "empty", "truncated"}


def test_parquet_and_csv_come_back_through_score_with_the_same_scores(answered, capitals: Path, tmp_path: Path) -> None:
    run = answered("lame", "-o", "fail=q3")
    for name in ("records.parquet", "records.csv"):
        invoke("export", str(run), "-o", str(tmp_path / name))
        data = str(capitals.with_name("capitals.jsonl"))
        said = invoke(
            "score", str(capitals), str(tmp_path / name), "--data", data, "-m", "em", "-m", "recall@1", "--json"
        )
        assert (mean(said, "em"), mean(said, "recall@1")) == (0.9, 0.9), name


def test_parquet_and_datasets_hold_the_same_table_with_the_same_types(answered, tmp_path: Path) -> None:
    import datasets
    import pyarrow.parquet

    run = answered("lame", "-o", "fail=q3")
    invoke("export", str(run), "-o", str(tmp_path / "records.parquet"))
    invoke("export", str(run), "-f", "datasets", "-o", str(tmp_path / "table"))
    table = pyarrow.parquet.read_table(tmp_path / "records.parquet")
    loaded = datasets.load_from_disk(str(tmp_path / "table"))
    assert loaded.to_list() == table.to_pylist()
    failed = loaded[3]
    assert (failed["status"], failed["em"], failed["error"]) == ("error", 0.0, failed["error"])
    assert "no answer today" in failed["error"]
    assert str(table.schema.field("usd").type) == "double"
    assert "is there already" in invoke("export", str(run), "-f", "datasets", "-o", str(tmp_path / "table"), code=2)


HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    'a"b,c\nsecond line',
    "\x1b[31mred",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_csv_is_a_formula_or_moves_a_cursor_and_text_stays_whole(text: str) -> None:
    long = "word " * 2000
    written = tables.to_csv([{"id": text, "prediction": text, "long": long, "retrieved": [text], "em": -1.0}])
    [row] = csv.DictReader(io.StringIO(written))
    assert not row["prediction"].lstrip().startswith(("=", "+", "-", "@"))
    assert "\x1b" not in written
    assert row["long"] == long
    assert row["em"] == "-1.0"
    if "second line" in text:
        assert row["prediction"] == text


def schema(name: str = "eval.schema.json") -> Any:
    """Of Every Eval Ever, from its package."""
    try:
        files = metadata.files("every-eval-ever") or []
    except metadata.PackageNotFoundError:
        pytest.skip("every-eval-ever is not installed: see the Makefile")
    [file] = [file for file in files if file.name == name]
    return json.loads(Path(str(file.locate())).read_text(encoding="utf-8"))


def test_a_record_of_every_eval_ever_is_of_its_schema_and_a_damaged_one_is_not(published: Run) -> None:
    import jsonschema

    found = record(published, score_run(published), Evaluator("Our lab", "third_party"), 1700000000)
    known = schema()
    assert known["version"] == found["schema_version"] == "0.3.0"
    jsonschema.Draft7Validator.check_schema(known)
    validator = jsonschema.Draft7Validator(known)
    validator.validate(json.loads(json.dumps(found)))
    em = next(one for one in found["evaluation_results"] if one["metric_config"]["metric_name"] == "em")
    assert em["score_details"]["score"] == pytest.approx(0.14)
    assert em["score_details"]["uncertainty"]["confidence_interval"]["confidence_level"] == 0.95
    found["evaluation_results"][0]["score_details"].pop("score")
    assert not validator.is_valid(found)
    found["source_metadata"]["evaluator_relationship"] = "friend"
    assert len(list(validator.iter_errors(found))) == 2


def test_every_published_run_and_a_judged_one_export_by_the_schema(loopback, answered) -> None:
    import jsonschema

    validator = jsonschema.Draft7Validator(schema())
    loopback.reply = lambda message: "Verdict: CORRECT"
    judged = open_run(answered("judged", "-m", loopback.named()))
    runs = [judged, *list(find_runs(ROOT / "results" / "nq"))[::6]]
    assert len(runs) > 4
    for run in runs:
        found = record(run, score_run(run), Evaluator("Our lab", "other"), 1)
        validator.validate(json.loads(json.dumps(found)))
        assert found["evaluation_results"], run.path
    [by_model] = [
        one for one in record(judged, score_run(judged), Evaluator("L", "other"), 1)["evaluation_results"]
        if one["metric_config"]["metric_name"].startswith("judge")
    ]  # fmt: skip
    assert by_model["metric_config"]["llm_scoring"]["judges"][0]["model_info"]["name"] == "m"
    assert "{answer}" in by_model["metric_config"]["llm_scoring"]["input_prompt"]


def test_single_answers_are_of_the_schema_and_refer_to_the_record(answered, tmp_path: Path) -> None:
    import jsonschema

    out, samples = tmp_path / "record.json", tmp_path / "samples.jsonl"
    run = answered("lame", "-o", "fail=q3")
    invoke(
        "export",
        str(run),
        "-o",
        str(out),
        "--organization",
        "Our lab",
        "--relationship",
        "other",
        "--samples",
        str(samples),
    )
    whole = json.loads(out.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema()).validate(whole)
    validator = jsonschema.Draft7Validator(schema("instance_level_eval.schema.json"))
    found = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    for one in found:
        validator.validate(one)
        assert one["evaluation_id"] == whole["evaluation_id"]
    assert len(found) == whole["detailed_evaluation_results"]["total_rows"] == 10
    scores = {one["sample_id"]: (one["evaluation"]["score"], one["evaluation"]["is_correct"]) for one in found}
    assert (scores["q3"], scores["q4"]) == ((0.0, False), (1.0, True))
    assert "no answer today" in next(one["error"] for one in found if one["sample_id"] == "q3")
    assert not validator.is_valid({**found[0], "output": None})


def test_the_command_asks_who_made_the_run(published: Run, tmp_path: Path) -> None:
    path = str(published.path)
    assert "add --organization NAME" in invoke("export", path, "-f", "every-eval-ever", code=2)
    out = tmp_path / "record.json"
    invoke("export", path, "-o", str(out), "--organization", "Our lab", "--relationship", "first_party", "-m", "f1")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["source_metadata"]["evaluator_relationship"] == "first_party"
    assert [one["metric_config"]["metric_name"] for one in found["evaluation_results"]] == ["f1"]


def test_a_hub_result_is_read_back_by_the_hubs_own_library(published: Run, tmp_path: Path) -> None:
    import yaml
    from huggingface_hub import parse_eval_result_entries

    path = str(published.path)
    assert "Name the benchmark's data set: --dataset ID" in invoke("export", path, "-f", "hf", code=2)
    out = tmp_path / "result.yaml"
    invoke("export", path, "-o", str(out), "--dataset", "dgslibisey/MuSiQue", "--source-url", "https://example.org/run")
    [entry] = parse_eval_result_entries(yaml.safe_load(out.read_text(encoding="utf-8")))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("dgslibisey/MuSiQue", "default", 15.3)
    assert entry.notes == "f1 in %, 500 questions, setting distractor, clara-8x"
    assert entry.source_url == "https://example.org/run"


def test_a_format_is_chosen_by_suffix_or_asked_for(published: Run, tmp_path: Path) -> None:
    path = str(published.path)
    assert "name a --format" in invoke("export", path, code=2)
    assert "name a --format" in invoke("export", path, "-o", str(tmp_path / "x.doc"), code=2)
    assert "needs a place" in invoke("export", path, "-f", "parquet", code=2)
    said = invoke("export", path, "-f", "csv", "--dataset", "a/b", code=2)
    assert "--dataset is for hf, not for csv" in said
    assert "--metric is for csv" in invoke("export", path, "-f", "trec-run", "-m", "em", code=2)
    assert invoke("export", path, "-f", "trec-run").splitlines()[0].split()[1] == "Q0"
