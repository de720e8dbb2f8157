"""A dry run tells what a run would be, and makes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.components.registry import Component
from clara_bench.running.estimate import FRAME, earlier_runs, estimate
from clara_bench.running.run_config import Request
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import TaskData


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without results."""
    monkeypatch.chdir(tmp_path)


def dry(capitals: Path, system: str, *more: str) -> str:
    words = ["run", "-t", str(capitals), "-s", system, "--out", str(capitals.with_name("runs")), "--dry-run", *more]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done.output


def request(capitals: Path, setting: str, system: str = "rag", **options: str) -> Request:
    return Request(str(capitals), Component(system, options), setting)  # type: ignore[arg-type]


def load(asked: Request) -> TaskData:
    return sources.load(definitions.load(asked.task), asked.source)


def test_nothing_is_built_asked_or_written(capitals: Path) -> None:
    file = capitals.with_name("dear.py")
    file.write_text("class Dear:\n    def __init__(self):\n        raise SystemError('built')\n")
    assert re.search(r"^dear-Dear +10 +~", dry(capitals, f"{file}:Dear"), flags=re.M)
    assert not capitals.with_name("runs").exists()


def test_what_an_earlier_run_took_is_the_source_where_there_is_one(capitals: Path, oracle: str) -> None:
    out = str(capitals.with_name("runs"))
    assert " – " in dry(capitals, oracle)
    assert CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", oracle, "--out", out]).exit_code == 0
    told = dry(capitals, oracle)
    assert re.search(r"^oracle-Capitals +10 +~0 +~0 s", told, flags=re.M)
    assert "as in earlier runs, such as" in told


def test_the_head_stands_in_one_line_where_it_fits(capitals: Path, oracle: str) -> None:
    assert re.search(r"^system +questions +prompt tokens +time +US \$$", dry(capitals, oracle), flags=re.M)


def test_tokens_grow_with_the_passages_that_the_setting_gives(capitals: Path) -> None:
    def tokens(setting: str, **options: str) -> float:
        asked = request(capitals, setting, **options)
        return estimate(asked, load(asked), []).prompt_tokens

    assert 10 * FRAME < tokens("closed") < tokens("gold") < tokens("corpus", k="3") < tokens("distractor", k="9")
    assert tokens("distractor", k="10") == tokens("distractor", k="99")


def test_money_is_told_at_the_prices_given_and_only_then(capitals: Path) -> None:
    reader = {"reader": "openai", "reader.base_url": "http://localhost:1/v1", "reader.model": "gpt"}
    free = request(capitals, "closed", **reader)
    assert estimate(free, load(free), []).usd is None
    paid = request(capitals, "closed", **reader, **{"reader.input_price": "2"} |
                   {"reader.max_new_tokens": "1", "reader.output_price": "1000"})  # fmt: skip
    found = estimate(paid, load(paid), [])
    assert found.usd == pytest.approx((2 * found.prompt_tokens + 1000 * 1 * 10) / 1e6)


def test_what_a_run_would_refuse_a_dry_run_refuses(capitals: Path) -> None:
    words = ["run", "-t", str(capitals), "-s", "rag", "-o", "topk=3", "--dry-run"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "unknown option 'topk'" in done.output


def test_folders_without_runs_are_no_source(tmp_path: Path) -> None:
    assert earlier_runs([tmp_path, tmp_path / "nowhere"]) == []


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_is_told_beforehand_fits_the_screen(capitals: Path, oracle: str, width: int) -> None:
    words = ["run", "-t", str(capitals), "-s", oracle, "-s", "closed-book", "--setting", "closed", "--dry-run"]
    done = CliRunner().invoke(main, words, env={"COLUMNS": str(width)})
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= width
    assert re.search(r"^2 runs +20 +~", done.output, flags=re.M)
