from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench import metrics
from clara_bench.cli import main
from clara_bench.errors import ConfigError
from clara_bench.metrics.differences import Difference
from clara_bench.metrics.statistics import Summary
from clara_bench.records.results import open_run
from clara_bench.reporting import comparison, formats, pairs


def test_a_run_is_as_good_as_itself_and_the_interval_says_so(answered) -> None:
    run = open_run(answered("whole"))
    em = comparison.compare(run, run)["em"]
    assert (em.mean, em.p, em.higher, em.lower, em.n) == (0.0, 1.0, 0, 0, 10)
    assert em.ci95 is not None
    assert em.ci95[0] < 0 < em.ci95[1]  # ten questions do not show that no other would differ


def test_the_difference_is_the_run_less_its_baseline_with_failures_as_zeros(answered) -> None:
    whole, lame = open_run(answered("whole")), open_run(answered("lame", "-o", "fail=q3"))
    em = comparison.compare(whole, lame)["em"]
    assert em.mean == pytest.approx(-0.1)
    assert em.ci95 is not None
    assert em.ci95[0] < -0.1 < em.ci95[1]
    assert (em.higher, em.lower, em.n) == (0, 1, 10)
    back = comparison.compare(lame, whole)["em"]
    assert (back.mean, back.ci95) == (pytest.approx(0.1), pytest.approx((-em.ci95[1], -em.ci95[0])))


def test_runs_in_other_settings_are_compared_by_what_both_can_have(answered) -> None:
    whole, own = open_run(answered("whole")), open_run(answered("own", "--setting", "gold"))
    assert "recall@1" in comparison.compare(whole, whole)
    found = comparison.compare(whole, own)
    assert "em" in found
    assert "recall@1" not in found


def test_runs_over_other_questions_are_refused_with_both_named(answered) -> None:
    whole, few = answered("whole"), answered("few", "--limit", "4")
    with pytest.raises(ConfigError, match=r"few.* has other questions \(.*, 4 asked, .*whole.*, 10 asked, "):
        comparison.compare(open_run(whole), open_run(few))
    done = CliRunner().invoke(main, ["compare", str(whole), str(few)])
    assert done.exit_code == 2
    assert "Compare runs from one table" in done.output


def test_the_command_prints_a_line_for_each_run_and_metric_and_json_on_demand(answered) -> None:
    whole, lame = answered("whole"), answered("lame", "-o", "fail=q3")
    table = CliRunner().invoke(main, ["compare", str(whole), str(lame), "-m", "em", "-m", "f1"])
    assert table.exit_code == 0, table.output
    assert re.search(r"^em, %\nwhole \(baseline\) +100\.0 +–", table.output, flags=re.M)
    assert (
        len(
            re.findall(
                r"^lame +90\.0 +-10\.0 +-[0-9.]+ to \+[0-9.]+ +1\.000 +±[0-9.]+ +0/9/1 ", table.output, flags=re.M
            )
        )
        == 2
    )
    printed = CliRunner().invoke(main, ["compare", str(whole), str(lame), "-m", "em", "--json"])
    assert json.loads(printed.output)[str(lame)]["em"]["lower"] == 1
    found = json.loads(printed.output)[str(lame)]["em"]
    assert (found["broken"], found["rescued"], found["verdict"], found["family"]) == (["q3"], [], "undecided", 1)
    flips = CliRunner().invoke(main, ["compare", str(whole), str(lame), "-m", "em", "--flips"])
    assert "lame, em, broken (1): q3." in flips.output
    assert "over the one test shown here" in " ".join(flips.output.split())


def test_what_names_no_run_is_said_with_the_labels_that_there_are(answered, tmp_path: Path) -> None:
    whole = answered("whole")
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["compare", str(whole), str(tmp_path / "empty")])
    assert done.exit_code == 2
    assert "empty holds no runs" in done.output
    done = CliRunner().invoke(main, ["compare", "wole", "whole", "--root", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert "unknown run, folder or label 'wole'. Did you mean 'whole'?" in done.output
    done = CliRunner().invoke(main, ["compare", "whole", "whole", "--root", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "Give --root FOLDER" in done.output


def test_runs_are_named_by_path_folder_or_label(answered, tmp_path: Path) -> None:
    whole, lame = answered("whole"), answered("lame", "-o", "fail=q3")
    root = tmp_path / "runs"
    for words in ([str(whole), str(lame)], [str(whole.parent), str(root)], ["whole", "lame", "--root", str(root)]):
        done = CliRunner().invoke(main, ["compare", *words, "-m", "em", "--json"])
        assert done.exit_code == 0, done.output
        assert list(json.loads(done.output)) == [str(lame)]


def test_of_several_baselines_the_one_at_equal_candidates_is_meant(answered, tmp_path: Path) -> None:
    answered("whole"), answered("lame", "-o", "fail=q3")
    given = ("--setting", "gold")
    for label, extra in ("whole", given), ("lame", ("-o", "fail=q3", *given)):
        with pytest.raises(ValueError, match="too many values"):
            answered(label, *extra)
    root = tmp_path / "runs"
    done = CliRunner().invoke(main, ["compare", "whole", "lame", "--root", str(root), "-m", "em"])
    assert done.exit_code == 0, done.output
    assert len(re.findall(r"^lame ", done.output, flags=re.M)) == 2
    with pytest.raises(ConfigError, match=r"2 baselines answer its questions: .*Name one of them"):
        pairs.pair(
            pairs.find("whole", root),
            [
                replace(
                    pairs.find("lame", root)[0],
                    manifest={
                        **pairs.find("lame", root)[0].manifest,
                        "candidates": {"hash": "0", "passages": 0, "first_stage": None},
                    },
                )
            ],
        )


def test_a_metric_without_a_value_in_both_runs_is_named_and_has_no_rows(answered) -> None:
    whole, own = answered("whole"), answered("own", "--setting", "gold")
    text = CliRunner().invoke(main, ["compare", str(whole), str(own), "-m", "em", "-m", "recall@1"]).output
    assert "Without a value in both runs: recall@1." in text
    assert "recall@1, %" not in text
    text = CliRunner().invoke(main, ["compare", str(whole), str(own), "-m", "context_tokens"]).output
    assert text.splitlines()[2] == "context tokens"


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_comparison_fits_the_screen(answered, width: int) -> None:
    whole, lame = answered("whole"), answered("a-label-of-some-length-for-a-lame-system", "-o", "fail=q3")
    done = CliRunner().invoke(main, ["compare", str(whole), str(lame)], env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= width
    assert re.search(r"system +value +change +95 % CI +p( Holm)? +detectable", done.output)
    whole_table = CliRunner().invoke(main, ["compare", str(whole), str(lame), "--wide"], env={"COLUMNS": str(width)})
    assert "Not shown" not in whole_table.output


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("c.md", "| **-100.0**"),
        ("c.tex", r"\textbf{-100.0}"),
        ("c.csv", "capitals,none,whole,em,0.0,1.0,-1.0,"),
        ("c.json", '"lower": 10'),
    ],
)
def test_a_comparison_is_written_in_every_format(answered, tmp_path: Path, name: str, holds: str) -> None:
    whole, none = answered("whole"), answered("none", "--setting", "closed")
    words = ["compare", str(whole), str(none), "-m", "em", "-o", str(tmp_path / name)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert holds in (tmp_path / name).read_text(encoding="utf-8")


def test_a_table_shows_a_difference_in_the_metric_s_own_unit_with_its_paired_interval() -> None:
    less = Difference(-0.0725, (-0.11, 0.0203), 3, 9, 100)
    shown = formats.difference_cell(metrics.get("f1"), Summary(0.2042, (0.1, 0.3), 100, 0, 0), less)
    assert shown == "20.4 (-7.2, -11.0 to +2.0)"
    assert formats.difference_cell(metrics.get("f1"), Summary(None, None, 0, 100, 0), less) == "–"
    alone = Difference(None, None, 0, 0, 0)
    assert formats.difference_cell(metrics.get("seconds"), Summary(1.234, (1.0, 2.0), 9, 0, 0), alone) == "1.23"


def test_the_p_values_of_all_that_is_shown_are_corrected_as_one_family() -> None:
    told = [Difference(0.1, (0.0, 0.2), 9, 1, 99, p=p) for p in (0.01, 0.04, 0.03)]
    found = comparison.verdicts([*told, Difference(None, None, 0, 0, 0)])
    assert [one.p_holm for one in found] == [0.03, 0.06, 0.06, None]
    assert [one.p_bh for one in found] == [0.03, 0.04, 0.04, None]
    assert [one.verdict for one in found] == ["higher", "undecided", "undecided", "undecided"]
    assert {one.family for one in found} == {3}


@pytest.mark.parametrize(
    ("mean", "ends", "shown"),
    [
        (0.0, (0.0, 0.037), "0.0 (0.0–3.7)"),
        (0.05, (0.034, 0.073), "5.0 (3.4–7.3)"),
        (0.5, (0.456, 0.544), "50.0 ±4.4"),
        (0.5, (0.4999, 0.5001), "50.0"),
    ],
)
def test_lopsided_intervals_are_written_as_two_ends_and_none_as_plus_or_minus_nothing(mean, ends, shown) -> None:
    assert formats.cell(metrics.get("em"), Summary(mean, ends, 500, 0, 0)) == shown
