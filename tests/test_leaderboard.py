from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from clara_bench import metrics
from clara_bench.cli import main
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.metrics.statistics import Summary
from clara_bench.records import results
from clara_bench.records.packs import located
from clara_bench.reporting import formats, leaderboard, tables, views
from clara_bench.reporting.leaderboard import Board, Row, Section
from clara_bench.reporting.task_columns import by_task
from clara_bench.reporting.views import View


@pytest.fixture
def runs(capitals: Path, oracle: str) -> Path:
    """Three runs in one folder: a perfect one, one with a failure, one in another setting."""
    out = capitals.parent / "runs"
    common = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl")),
              "--out", str(out)]  # fmt: skip
    for extra in (["--label", "whole"], ["--label", "lame", "-o", "fail=q3"],
                  ["--label", "own|<b>", "--setting", "distractor"]):  # fmt: skip
        done = CliRunner().invoke(main, [*common, *extra])
        assert done.exit_code == 0, done.output
    return out


def test_rows_with_other_candidates_stand_in_another_section(runs: Path) -> None:
    [board] = leaderboard.boards(results.find_runs(runs))
    assert [section.setting for section in board.sections] == ["distractor", "corpus"]
    assert [row.label for row in board.sections[1].rows] == ["whole", "lame"]


def test_rows_with_failures_are_marked_in_every_format(runs: Path) -> None:
    found = leaderboard.boards(results.find_runs(runs))
    assert "lame †1" in tables.markdown(views.tables(found))
    assert r"lame $\dagger$1" in tables.latex(views.tables(found))
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(found))))
    assert {row["failed"] for row in rows if row["system"] == "lame" and row["metric"] == "em"} == {"1"}
    assert json.loads(formats.to_json(found))[0]["sections"][1]["rows"][1]["failed"] == 1


def test_every_mean_carries_the_same_interval_each_time(runs: Path) -> None:
    [board] = leaderboard.boards(results.find_runs(runs))
    em = board.sections[1].rows[1].metrics["em"]
    assert em.mean == 0.9
    assert em.ci95 is not None
    assert em.ci95[0] < 0.9 < em.ci95[1]
    assert leaderboard.boards(results.find_runs(runs)) == [board]


def test_other_questions_are_another_table(runs: Path, capitals: Path, oracle: str) -> None:
    CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--limit", "4", "--out", str(runs),
                              "--data", str(capitals.with_name("capitals.jsonl"))])  # fmt: skip
    assert sorted(board.questions for board in leaderboard.boards(results.find_runs(runs))) == [4, 10]


def test_labels_cannot_break_out_of_a_table(runs: Path) -> None:
    text = tables.markdown(views.tables(leaderboard.boards(results.find_runs(runs))))
    assert "<b>" not in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


@pytest.mark.parametrize("kind", ["rich", "markdown", "csv", "latex", "json"])
def test_every_format_prints_from_the_command_line(runs: Path, kind: str) -> None:
    done = CliRunner().invoke(main, ["leaderboard", str(runs), "--format", kind])
    assert done.exit_code == 0, done.output
    assert "whole" in done.output


def test_published_runs_score_to_the_last_digit(runs: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    assert CliRunner().invoke(main, ["publish", str(runs), "--to", str(published)]).exit_code == 0
    for run in results.find_runs(published):
        before = (located(run.path) / "scores.json").read_bytes()
        assert CliRunner().invoke(main, ["score", str(run.path)]).exit_code == 0
        assert (located(run.path) / "scores.json").read_bytes() == before
        assert not (run.path / "records.jsonl").exists()


def test_a_run_repeats_from_its_manifest_and_refuses_other_data(runs: Path, capitals: Path, tmp_path: Path) -> None:
    whole = next(run for run in results.find_runs(runs) if run.manifest["system"]["label"] == "whole")
    again = ["run", "--manifest", str(whole.path), "--trust", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 0, done.output
    [repeated] = results.find_runs(tmp_path / "again")
    assert repeated.path.name == whole.path.name
    texts = [[r.answer.text for r in run.records()] for run in (whole, repeated)]
    assert texts[0] == texts[1]
    data = capitals.with_name("capitals.jsonl")
    data.write_text(data.read_text().replace("Oslo", "Bergen"))
    done = CliRunner().invoke(main, again)
    assert done.exit_code == 2
    assert "differs from its manifest in: candidates, data.passages, data.questions, questions" in done.output


def test_an_outsiders_package_is_listed_and_ranked_without_a_change_to_ours(capitals: Path, tmp_path: Path) -> None:
    import os
    import sys

    package = Path(__file__).parent / "plugin_package"
    lines = (package / "lexical_sentence" / "__init__.py").read_text().splitlines()
    assert len(lines) <= 30
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(package), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
                    str(tmp_path / "site"), str(source)], check=True, capture_output=True)  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "clara_bench", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "clara-bench-lexical-sentence" in bench("list", "systems")
    data = str(capitals.with_name("capitals.jsonl"))
    bench("run", "-t", str(capitals), "-s", "lexical-sentence", "--data", data, "--out", str(tmp_path / "runs"))
    assert "lexical-sentence" in bench("leaderboard", str(tmp_path / "runs"), "--format", "markdown")


LABELS = ("gold-recomp-abstractive-16", "clara-8x", "a-label-that-is-longer-than-any-column-can-be-in-eighty-columns")


def board(task: str = "nq", main: str = "em", **values: float) -> Board:
    """A board of three rows in one section, of 0.5, 0.48 and 0.2, with values of other metrics the same for all."""
    rows = []
    for label, em, p in zip(LABELS, (0.5, 0.48, 0.2), (1.0, 0.4, 0.001), strict=True):
        found = {main: Summary(em, (em - 0.04, em + 0.04), 500, 0, 0)}
        costs = {name: Summary(value, (value, value), 500, 0, 0) for name, value in values.items()}
        rows.append(
            Row(label, 500, 0, found | costs, {"backbone": "tiny", "weights": label}, f"runs/{label}", p_best={main: p})
        )
    section = Section("distractor", "0" * 64, tuple(rows), "distractor: five of the question's own 20 passages")
    return Board(task, 1, "worlds", 500, "0" * 64, main, (section,), "synthetic world, hard, seed 0")


MANY = {"recall@5": 0.7, "context_positions": 288.0, "effective_ratio_micro": 1.0, "seconds": 0.0199}


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("words", [[], ["--columns", "em,f1,recall@1,recall@5,context_positions,seconds,backbone"],
                                   ["--verbose"], ["--tasks-as-columns"]])  # fmt: skip
def test_no_line_is_longer_than_the_screen_and_every_system_is_named(runs: Path, width: int, words: list[str]) -> None:
    done = CliRunner().invoke(main, ["leaderboard", str(runs), *words], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    assert max(map(cell_len, done.output.splitlines())) <= width
    for label in ("whole", "lame †1", "own-b"):
        assert sum(line.startswith(label) for line in done.output.splitlines()) == 1


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_long_label_goes_on_in_the_next_line(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from clara_bench.cli.table import write_tables

    monkeypatch.setenv("COLUMNS", str(width))
    write_tables(views.tables([board(**MANY)]), views.NOTES, "rich")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    name = re.compile(r"^[\w-]+")
    assert LABELS[2] in "".join(found[0] for line in lines if (found := name.match(line)))


def test_columns_that_do_not_fit_are_named_and_wide_shows_all(runs: Path) -> None:
    words = ["leaderboard", str(runs), "--columns", ",".join(["em", "f1", *(f"recall@{k}" for k in range(1, 12))])]
    narrow = CliRunner().invoke(main, words, env={"COLUMNS": "60"}).output
    told = re.search(r"Not shown in 60 columns: ([^(]*)", narrow)
    assert told and told[1].split()[-1] == "recall@11"
    assert "recall@11" in CliRunner().invoke(main, [*words, "--wide"], env={"COLUMNS": "60"}).output.splitlines()[1]


def test_the_setting_is_said_in_words_and_hashes_only_on_demand(runs: Path) -> None:
    plain = CliRunner().invoke(main, ["leaderboard", str(runs)]).output
    assert "distractor: the question's own 10 passages\n" in plain
    assert "corpus: all 10 passages\n" in plain
    assert not re.search(r"\b[0-9a-f]{8}\b", plain)
    assert (
        len(re.findall(r"\[[0-9a-f]{8}\]", CliRunner().invoke(main, ["leaderboard", str(runs), "--verbose"]).output))
        == 3
    )


def test_a_column_is_asked_for_by_the_head_that_it_has(runs: Path) -> None:
    words = ["leaderboard", str(runs), "--columns", "em,context_tokens", "--sort", "context tokens", "-f", "markdown"]
    assert "| system | em | context tokens |" in CliRunner().invoke(main, words).output


def test_no_label_or_folder_holds_what_a_shell_reads(runs: Path, capitals: Path, oracle: str) -> None:
    words = ["run", "-t", str(capitals), "-s", oracle, "--out", str(runs), "-o", "fail=q1", "--limit", "2"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, [*words, "--label", "mine[a=1,b=*]"])
    assert done.exit_code == 0, done.output
    labels = {run.manifest["system"]["label"] for run in results.find_runs(runs)}
    assert {"oracle-Capitals-fail-q1", "mine-a-1-b"} <= labels
    assert labels == {run.path.parent.name for run in results.find_runs(runs)}
    assert not any(set("[]=,*") & set(str(path.relative_to(runs))) for path in runs.rglob("*"))


def test_what_is_the_same_in_every_row_goes_to_the_caption() -> None:
    [table] = views.tables([board(**MANY)])
    assert table.head == ("system", "em")
    assert table.caption == (
        "In every row: backbone tiny, recall@5 70.0, context tokens 288, ratio 1.00, seconds 0.0199.",
    )
    [table] = views.tables([board(**MANY)], View(columns=("em", "seconds")))
    assert table.head == ("system", "em", "seconds")


def test_columns_may_be_traits_and_unknown_ones_are_refused() -> None:
    [table] = views.tables([board()], View(columns=("em", "weights")))
    assert [row[2].text for row in table.groups[0].rows] == list(LABELS)
    with pytest.raises(UnknownName, match=r"unknown column 'recal@5'. Did you mean 'recall@5'\?"):
        views.to_score(View(columns=("recal@5",)))
    with pytest.raises(ConfigError, match="'backbone' has no mean over tasks"):
        by_task([board()], View(columns=("em", "backbone")))


def test_rows_are_ranked_by_the_column_asked_for_with_the_better_first(runs: Path) -> None:
    found = leaderboard.boards(results.find_runs(runs))
    slow, quick = (replace(found[0].sections[0].rows[0], label=label, metrics={"seconds": Summary(s, None, 1, 0, 0)})
                   for label, s in (("slow", 2.0), ("quick", 1.0)))  # fmt: skip
    none = replace(slow, label="none", metrics={})
    of = replace(found[0], sections=(replace(found[0].sections[0], rows=(none, slow, quick)),))
    [table] = views.tables([of], View(columns=("seconds",), sort="seconds"))
    assert [row[0].text for row in table.groups[0].rows] == ["quick", "slow", "none"]
    [table] = views.tables([of], View(columns=("seconds",), sort="system"))
    assert [row[0].text for row in table.groups[0].rows] == ["none", "quick", "slow"]


def test_tables_of_other_worlds_and_samples_say_in_words_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mute.py"
    file.write_text(
        "from clara_bench import Answer, IndexStats\n\nclass Mute:\n"
        "    def index(self, corpus):\n        return IndexStats(len(corpus), 0.0, 0)\n"
        "    def answer(self, questions):\n        return [Answer('no') for _ in questions]\n"
    )
    common = ["run", "-s", f"{file}:Mute", "--limit", "1", "--out", str(tmp_path / "runs"), "--setting", "distractor"]
    world = ["--world", "questions=20", "--world"]
    for task in ("nq", "hotpotqa"):
        for more in (["passages=300"], ["passages=400"], ["seed=3"]):
            done = CliRunner().invoke(main, [*common, "-t", task, *world, *more])
            assert done.exit_code == 0, done.output
    found = leaderboard.boards(results.find_runs(tmp_path / "runs"))
    hard = "synthetic world, hard, seed"
    origins = {f"{hard} 0, passages 300", f"{hard} 0, passages 400", f"{hard} 3"}
    assert {table.title for table in views.tables(found)} == {
        f"{task} · {origin} · 1 question" for task in ("nq", "hotpotqa") for origin in origins
    }
    by = {table.title: table.head[1:3] for table in by_task(found)}
    assert by == {f"{origin} · 1 question per task": ("hotpotqa f1", "nq em") for origin in origins}
    done = CliRunner().invoke(main, [*common, "-t", "nq", *world, "passages=300", "--seed", "4"])
    assert done.exit_code == 0, done.output
    titles = [table.title for table in views.tables(leaderboard.boards(results.find_runs(tmp_path / "runs")))]
    assert f"nq · {hard} 0, passages 300, sample seed 4 · 1 question" in titles
    assert len(set(titles)) == 7


def test_the_best_is_bold_and_rows_that_a_paired_test_does_not_separate_are_marked_in_latex() -> None:
    text = tables.latex(views.tables([board(**MANY)], View(columns=("em", "seconds"))))
    assert r"gold-recomp-abstractive-16 & \textbf{50.0 $\pm$4.0} & 0.0199 \\" in text
    assert r"clara-8x & 48.0 $\pm$4.0$^{\approx}$ & 0.0199 \\" in text
    assert r"columns & 20.0 $\pm$4.0 & 0.0199 \\" in text
    assert "| clara-8x | 48.0 ±4.0 ≈ |" in tables.markdown(views.tables([board()], View(columns=("em",))))
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrr}"):
        assert rule in text
    assert r"\multicolumn{3}{l}{\emph{distractor: five of the question's own 20 passages}} \\" in text


def test_a_cost_has_no_best() -> None:
    [table] = views.tables([board(**MANY)], View(columns=("seconds",)))
    assert not any(cell.best or cell.tied for row in table.groups[0].rows for cell in row)
    assert leaderboard.best(board().rows, metrics.get("em"))[0].label == LABELS[0]


def test_tasks_as_columns_show_the_main_metric_of_each_and_means_only_over_all() -> None:
    nq, musique = board(**MANY), board("musique", "f1", seconds=0.0401)
    [table] = by_task([musique, nq])
    assert table.head == ("system", "musique f1", "nq em", "seconds")
    assert [cell.text for cell in table.groups[0].rows[0]] == [LABELS[0], "50.0 ±4.0", "50.0 ±4.0", "0.0300"]
    assert table.groups[0].title == "distractor: five of the question's own 20 passages"
    fewer = replace(musique, sections=(replace(musique.sections[0], rows=musique.sections[0].rows[1:]),))
    [table] = by_task([fewer, nq])
    row = next(row for row in table.groups[0].rows if row[0].text == LABELS[0])
    assert [cell.text for cell in row[1:]] == ["–", "50.0 ±4.0", "–"]


def test_one_label_twice_is_told_apart_by_the_option_that_differs(runs: Path, capitals: Path, oracle: str) -> None:
    common = ["run", "-t", str(capitals), "-s", oracle, "--out", str(runs), "--label", "whole"]
    assert CliRunner().invoke(main, [*common, "-o", "error=TimeoutError"]).exit_code == 0
    [board] = leaderboard.boards(results.find_runs(runs))
    names = {row.name for row in board.sections[1].rows}
    assert names == {"whole (error=RuntimeError)", "whole (error=TimeoutError)", "lame †1"}
    code = Path(oracle.partition(":")[0])
    code.write_text(code.read_text() + "# edited\n")
    assert CliRunner().invoke(main, [*common, "-o", "error=TimeoutError"]).exit_code == 0
    [board] = leaderboard.boards(results.find_runs(runs))
    assert len({row.name for row in board.sections[1].rows}) == 4


@pytest.mark.parametrize(("name", "begins"), [("t.md", "###"), ("t.tex", "%"), ("t.csv", "task,"), ("t.json", "[")])
def test_a_file_is_written_in_the_format_of_its_name(runs: Path, tmp_path: Path, name: str, begins: str) -> None:
    done = CliRunner().invoke(main, ["leaderboard", str(runs), "-o", str(tmp_path / name)])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    done = CliRunner().invoke(main, ["leaderboard", str(runs), "-o", str(tmp_path / "table")])
    assert done.exit_code == 2
    assert "expected a name that ends in .md, .tex, .csv, .json" in done.output


def test_rows_are_tested_in_pairs_against_the_best_and_corrected_over_their_section(runs: Path) -> None:
    [found] = leaderboard.boards(results.find_runs(runs))
    whole, lame = found.sections[1].rows
    assert (whole.p_best.get("em"), lame.p_best["em"]) == (None, 1.0)  # one question of ten is no evidence
    assert leaderboard.tied(lame, metrics.get("em"))
    scored = [SimpleNamespace(values={"em": values}) for values in PAIRED]
    rows = [replace(whole, label=str(place), metrics={"em": Summary(fmean(values), None, 40, 0, 0)})
            for place, values in enumerate(PAIRED)]  # fmt: skip
    tested = leaderboard._tested(rows, scored)
    assert [row.p_best.get("em") for row in tested] == [None, 1.0, 2 * 2 * 0.5**20]


PAIRED = ((1.0,) * 40, (1.0,) * 39 + (0.0,), (1.0,) * 20 + (0.0,) * 20)


def test_the_pareto_front_is_what_no_other_row_beats_on_both() -> None:
    [section] = board(**MANY).sections
    costs = {LABELS[0]: 300.0, LABELS[1]: 100.0, LABELS[2]: 200.0}
    rows = [replace(row, metrics={**row.metrics, "context_positions": Summary(costs[row.label], None, 9, 0, 0)})
            for row in section.rows]  # fmt: skip
    marked = leaderboard._on_fronts(rows, "em")
    assert [row.pareto for row in marked] == [("context_positions",), ("context_positions",), ()]
    of = replace(board(), sections=(replace(section, rows=tuple(marked)),))
    found = views.tables([of], View(columns=("em", "context_positions")))
    assert [row[2].text for row in found[0].groups[0].rows] == ["300 *", "100 *", "200"]
    assert any(note.startswith("*: Pareto") for note in views.notes(found))


def test_one_metric_on_several_tasks_has_a_mean_over_them_with_a_stratified_interval() -> None:
    [table] = by_task([board(**MANY), board("musique", **MANY)])
    assert table.head == ("system", "nq em", "musique em", "mean", "recall@5", "context tokens", "ratio", "seconds")
    # two intervals of +-4.0: 4 / sqrt(2)
    assert table.groups[0].rows[0][3].text == "50.0 ±2.8"


def test_a_ratio_stands_with_the_nominal_one_where_one_was_asked_for() -> None:
    [section] = board(**MANY).sections
    rows = [replace(row, traits={**row.traits, "nominal_ratio": 16.0}) for row in section.rows[:1]]
    of = replace(board(), sections=(replace(section, rows=(*rows, *section.rows[1:])),))
    [table] = views.tables([of], View(columns=("em", "effective_ratio_micro")))
    assert [row[2].text for row in table.groups[0].rows] == ["1.00 (16 nominal)", "1.00", "1.00"]
    [table] = by_task([of, replace(of, task="musique")], View(columns=("em", "effective_ratio_micro")))
    assert "1.00 (16 nominal)" in [cell.text for cell in table.groups[0].rows[0]]
