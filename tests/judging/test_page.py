"""The metric, the judges and the prompt of the documentation work as they stand there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.judging.prompts import get_judge_prompt
from clara_bench.read.prompts import get_prompt

DOCS = Path(__file__).parent.parent.parent / "docs"


def block(page: str, after: str, before: str) -> str:
    """The indented lines between two texts of a page."""
    part = (DOCS / page).read_text(encoding="utf-8").partition(after)[2].partition(before)[0]
    assert part, (page, after)
    lines = part.splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    ") or not line.strip()).strip() + "\n"


@pytest.fixture
def run(capitals: Path, oracle: str, tmp_path: Path) -> str:
    given = ["run", "-t", str(capitals), "-s", oracle, "--data", str(capitals.with_name("capitals.jsonl"))]
    done = CliRunner().invoke(main, [*given, "--out", str(tmp_path / "runs"), "-o", "fail=q1"])
    assert done.exit_code == 0, done.output
    [folder] = (tmp_path / "runs").glob("*/*/*")
    return str(folder)


@pytest.mark.parametrize(
    ("after", "before", "name"),
    [
        ("Save this as `mine.py`:", "    clara-bench run", "StartsRight"),
        ("A judge in code is", "    clara-bench score", "Contains"),
    ],
)
def test_the_classes_of_the_plug_in_page_score_a_run(
    run: str, tmp_path: Path, after: str, before: str, name: str
) -> None:
    (tmp_path / "mine.py").write_text(block("plugins.md", after, before), encoding="utf-8")
    metric = f"{tmp_path / 'mine.py'}:{name}"
    done = CliRunner().invoke(main, ["score", run, "-m", metric, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)[metric]
    assert (found["mean"], found["n"], found["failed"]) == (0.9, 10, 1)


def test_the_prompts_of_the_pages_are_read(tmp_path: Path) -> None:
    (tmp_path / "graded.toml").write_text(
        block("plugins.md", "is a TOML file: `judge[", "A judge in code"), encoding="utf-8"
    )
    judge = get_judge_prompt(str(tmp_path / "graded.toml"))
    assert (judge.value("So it is.\nVerdict: HALF"), judge.value("Verdict: MOST")) == (0.5, None)
    text = block("readers.md", "prompt of your own:", "Save it as `terse.toml`")
    (tmp_path / "terse.toml").write_text(text, encoding="utf-8")
    prompt = get_prompt(str(tmp_path / "terse.toml"))
    assert (prompt.name, len(prompt.examples), prompt.stop) == ("terse", 1, ("\n",))
