from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from statistics import fmean

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import ConfigError, DataError
from clara_bench.exchange import published
from clara_bench.exchange.gaps import gap
from clara_bench.records.results import find_runs
from clara_bench.reporting.scored import Scorer

ROOT = Path(__file__).parent.parent.parent
FILE = published.FILE
ENTRIES = list(published.entries(published.read(FILE)))
FOUR = ("nq", "hotpotqa", "musique", "2wikimultihopqa")


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def value(id: str, task: str, metric: str) -> float:
    [found] = [one.written for one in ENTRIES if (one.id, one.task, one.metric) == (id, task, metric)]
    return found


def test_every_value_names_its_source_and_its_table() -> None:
    assert len(ENTRIES) > 2000
    assert all(one.source.startswith(("arXiv 2", "https://")) and one.table for one in ENTRIES)


@pytest.mark.parametrize(
    ("id", "task", "metric", "written"),
    [  # read off the papers' tables by hand
        ("clara-t5-normal-pisco-16x", "nq", "cover_bag_first", 54.39),
        ("clara-t5-oracle-mistral-7b-text", "hotpotqa", "cover_bag_first", 70.77),
        ("clara-t6-instruct-mistral-normal-16x", "musique", "em_first", 8.44),
        ("clara-t6-dro-mistral-7b", "2wikimultihopqa", "f1", 43.65),
        ("clara-t7-pretrain-clara-mistral-4x", "hotpotqa", "recall@5", 96.21),
        ("flashrag-search-r1", "musique", "f1_squad", 29.2),
        ("cocom-16x", "nq", "em", 0.539),
        ("arc-llama-3.1-8b-arc-encoder-8x", "hotpotqa", "em", 42.8),
    ],
)
def test_values_are_those_printed(id: str, task: str, metric: str, written: float) -> None:
    assert value(id, task, metric) == written


def test_printed_means_are_the_means_of_the_four_tasks_but_for_two_misprints() -> None:
    wrong = []
    for entry in (one for one in ENTRIES if one.task == published.MEAN and not one.id.startswith("clara-t2-")):
        mean = fmean(value(entry.id, task, entry.metric) for task in FOUR)
        if abs(mean - entry.written) > 0.0101:
            wrong.append(entry)
    assert [(one.id, one.metric) for one in wrong] == [
        ("clara-t17-pretrain-phi4-mini-normal-4x", "ragas_faithfulness"),
        ("clara-t17-instruct-phi4-mini-oracle-64x", "ragas_faithfulness"),
    ]
    assert all("misprint" in doubt for one in wrong for doubt in one.doubts)


def test_the_means_of_table_2_are_those_of_the_rows_of_table_6() -> None:
    means = [one for one in ENTRIES if one.id.startswith("clara-t2-")]
    assert len(means) == 24
    for entry in means:
        of_six = fmean(value(entry.id.replace("-t2-", "-t6-"), task, entry.metric) for task in FOUR)
        assert entry.written == pytest.approx(of_six, abs=0.0101), entry.id


def test_metrics_have_our_name_exactly_where_we_have_them() -> None:
    assert {one.metric for one in ENTRIES if one.ours is None} == {
        "accuracy", "bertscore_f1", "entities_kept", "has_answer", "page_recall@5", "ragas_factual_correctness",
        "ragas_faithfulness", "rouge_1", "rouge_l", "seconds_of_the_query",
    }  # fmt: skip


def test_an_f1_below_the_exact_match_is_marked_as_doubtful() -> None:
    by_place = {(one.id, one.task, one.metric.partition("_")[0]): one for one in ENTRIES}
    below = [
        one
        for (id, task, metric), one in by_place.items()
        if metric == "em" and (f1 := by_place.get((id, task, "f1"))) and f1.written < one.written and task != "mean"
    ]
    assert {one.id for one in below} == {"clara-t6-ddr-rag"}
    assert all(one.doubts for one in below)


def test_the_command_lists_tables_chosen_rows_and_all_about_one_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Table 6, baselines" in invoke("published")
    rows = invoke("published", "-t", "nq", "-m", "em", "--compressor", "arc", "-f", "markdown")
    assert "arc-mistral-7b-arc-encoder-8x | 38.4 |" in rows
    assert "clara" not in rows
    row = invoke("published", "clara-t17-pretrain-phi4-mini-normal-4x")
    assert "misprint: the mean of the four is 60.88" in row
    assert "Phi4-mini" in row


def test_csv_and_json_have_every_field_of_every_value() -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("published", "-f", "csv"))))
    assert len(rows) == len(ENTRIES)
    assert rows[0]["flags"] == "cover metric called accuracy; first reference only"
    found = json.loads(invoke("published", "--source", "2407.09252", "-f", "json"))
    assert {one["source"] for one in found} == {"arXiv 2407.09252"}
    assert found[0]["value"] == 0.597


def test_what_does_not_exist_is_said_with_what_is_near() -> None:
    done = CliRunner().invoke(main, ["published", "clara-t5-normal-pisco-16"])
    assert done.exit_code == 2
    assert "Did you mean 'clara-t5-normal-pisco-16x'?" in done.output
    done = CliRunner().invoke(main, ["published", "-t", "nq", "-m", "recall@7"])
    assert (done.exit_code, "nothing fits --task nq, --metric recall@7" in done.output) == (2, True)
    done = CliRunner().invoke(main, ["published", "--from", "nowhere.toml"])
    assert (done.exit_code, "nowhere.toml" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('columns = ["nq em"]', 'columns = ["em"]', "column 'em', expected TASK METRIC"),
        ("values = [1.0]", "values = [1.0, 2.0]", "row 'r' has 2 values. Expected 1"),
        ('source = "s"', 'source = "z"', "unknown source 'z'"),
        ("values = [1.0]", 'values = [1.0], doubts = { "nq f1" = "why" }', "a doubt about 'nq f1'"),
        ("values = [1.0]", 'values = [1.0], flags = ["wrong"]', "flags"),
        ("values = [1.0]", "values = [1.0], kk = 5", "kk"),
        ("}] # end", '}, { id = "r", system = "again", values = [1.0] }] # end', "'r' is there twice"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (
        'schema = 1\n[[source]]\nid = "s"\ntitle = "S"\nurl = "https://s"\n[[table]]\nid = "t"\nsource = "s"\n'
        'table = "1"\nunit = "percent"\ncolumns = ["nq em"]\nrows = [{ id = "r", system = "a", values = [1.0] }] '
        "# end\n"
    )
    file = tmp_path / "published.toml"
    file.write_text(text, encoding="utf-8")
    assert len(list(published.entries(published.read(file)))) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        published.read(file)


def run_of(label: str):
    [run] = [one for one in find_runs(ROOT / "results" / "nq") if one.manifest["system"]["label"] == label]
    return run


def test_a_gap_is_the_run_less_the_published_value_beside_each_setting_that_differs() -> None:
    run = run_of("clara-16x")
    found = gap(run, published.of_id(ENTRIES, "clara-t6-instruct-mistral-normal-16x"), (), Scorer())
    em = {value.entry.metric: value for value in found.values}["em_first"]
    assert em.summary is not None
    assert em.gap == pytest.approx(em.summary.mean - 0.4102)
    settings = {one.name: one for one in found.settings}
    assert (settings["questions"].run, settings["questions"].published) == ("500", "6489")
    assert settings["rate"].differs is False
    assert settings["setting"].differs is True


def test_a_row_without_the_runs_task_or_metric_is_refused_with_what_it_has() -> None:
    run = run_of("clara-16x")
    with pytest.raises(ConfigError, match=r"has no task nq\. Its tasks: 2wikimultihopqa, hotpotqa"):
        gap(run, published.of_id(ENTRIES, "clara-t13-normal-mistral-full-32x"), (), Scorer())
    with pytest.raises(ConfigError, match="has no metrics em on nq; it has em_first, f1_first"):
        gap(run, published.of_id(ENTRIES, "clara-t6-instruct-mistral-normal-16x"), ("em",), Scorer())


def test_compare_holds_a_run_beside_a_published_row_in_every_format(tmp_path: Path) -> None:
    run, id = str(run_of("clara-16x").path), "clara-t5-normal-scp-mistral-7b-16x"
    shown = invoke("compare", run, "--published", id)
    assert "cover_bag_first" in shown
    assert "not stated" in shown
    assert "It is not tested" in shown
    [found] = json.loads(invoke("compare", run, "--published", id, "--json"))
    assert found["metrics"]["cover_bag_first"]["published"] == pytest.approx(0.5556)
    out = tmp_path / "gap.csv"
    invoke("compare", run, "--published", id, "-o", str(out))
    [row] = csv.DictReader(io.StringIO(out.read_text(encoding="utf-8")))
    assert "questions" in row["differs"]
    done = CliRunner().invoke(main, ["compare", run])
    assert (done.exit_code, "--published ID" in done.output) == (2, True)
