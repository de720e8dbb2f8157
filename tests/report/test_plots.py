"""Charts for papers are the report's, in the format that the file's name says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.errors import ConfigError, UnknownName
from clara_bench.report import plots
from clara_bench.report.collect import Collected


def test_a_frontier_holds_the_rows_with_their_intervals(collected: Collected) -> None:
    [table] = collected.report.tables
    spec = plots.frontier(table, 0)
    told = {point["name"]: point for point in spec["data"][0]["values"]}
    assert told["reads"]["y"] == 100.0 and told["guesses"]["y"] == pytest.approx(20.0)
    assert told["guesses"]["low"] == pytest.approx(100 * table.rows[1].metrics["em"][1])
    assert told["reads"]["front"] and told["guesses"]["front"], "one is better, the other cheaper"
    assert spec["axes"][1]["title"] == "EM, % (95 % CI)"


def test_recall_and_causes_are_those_of_the_report(collected: Collected) -> None:
    [table] = collected.report.tables
    recall = {(one["name"], one["depth"]): one["recall"] for one in plots.recall(table, 0)["data"]["values"]}
    assert recall["reads", 1] == 100.0 and recall["guesses", 1] == pytest.approx(10.0)
    causes = {(one["group"], one["cause"]): one["count"] for one in plots.causes(table, 0)["data"]["values"]}
    assert causes["reads", "right"] == 10
    assert sum(count for (group, _), count in causes.items() if group == "guesses") == 10


@pytest.mark.parametrize(("name", "begins"), [("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_the_name_of_the_file_says_the_format(collected: Collected, tmp_path: Path, name: str, begins: bytes) -> None:
    plots.write(plots.frontier(collected.report.tables[0], 0), tmp_path / name, 400, "Title")
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_the_command_draws_what_it_was_asked(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "recall.svg"
    done = CliRunner().invoke(main, ["plot", str(runs), "--chart", "recall", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert "recall@k" in file.read_text(encoding="utf-8") and "guesses" in file.read_text(encoding="utf-8")


def test_what_cannot_be_drawn_says_what_can(collected: Collected, tmp_path: Path) -> None:
    report = collected.report
    with pytest.raises(ConfigError, match=r"--table 'nq': none of the sets .* Name one of: capitals"):
        plots.one_of(report.tables, "nq")
    with pytest.raises(ConfigError, match=r"--passages 'gold': no section"):
        plots.section_of(report.tables[0], "gold")
    with pytest.raises(UnknownName, match="unknown metric of these rows 'usd'"):
        plots.frontier(report.tables[0], 0, cost="usd")
    with pytest.raises(UnknownName, match="'loss'"):
        plots.curves(report.curves)
    with pytest.raises(ConfigError, match=r"ends in \.svg, \.png, \.pdf"):
        plots.require(tmp_path / "a.gif")
