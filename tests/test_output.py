"""Whatever data, models, plug-ins and arguments hold, what is shown is text, and every console can show it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main
from clara_bench.io.escaping import LONGEST, for_csv, for_latex, for_markdown, for_terminal, one_line
from clara_bench.records import results
from clara_bench.reporting import formats, leaderboard, tables, views

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
EVIL = "a\x1b[31m\x9b2J\x07|\r\n\\end{table} $x$ =1+2 [red]![i](http://x) <b>`c`*d* \u202e\u2028 \udcff " + "y" * 9999

SYSTEM = f"""
from clara_bench import Answer, IndexStats, Traits


class Evil:
    traits = Traits(backbone={EVIL[:400]!r}.replace("\\udcff", ""), compressor="line\\nfeed")

    def index(self, corpus):
        import warnings
        warnings.warn({EVIL!r})
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        if questions[0].id == "q1":
            raise RuntimeError({EVIL!r})
        return [Answer({EVIL[:300]!r}.replace("\\udcff", "")) for _ in questions]
"""


def invoke(*arguments: object) -> tuple[int, str]:
    with warnings.catch_warnings(action="always"):
        done = CliRunner().invoke(main, [str(one) for one in arguments], color=True)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def evil(capitals: Path) -> Path:
    """A folder with a run whose every text is hostile, under a label that is a formula."""
    file = capitals.with_name("evil.py")
    file.write_text(SYSTEM, encoding="utf-8", errors="surrogatepass")
    out = capitals.with_name("evil")
    code, text = invoke("run", "-t", capitals, "-s", f"{file}:Evil", "--batch", "1", "--label", "+1+2", "--out", out)
    assert code == 0, text
    assert not RAW.search(text)
    return out


@pytest.mark.parametrize("kind", ["rich", "markdown", "latex", "csv", "json"])
def test_no_form_of_a_leaderboard_holds_what_commands_a_terminal(evil: Path, kind: str) -> None:
    code, text = invoke("leaderboard", evil, "--format", kind)
    assert code == 0
    assert not RAW.search(text)


def test_a_question_and_its_failure_are_shown_without_commands(evil: Path) -> None:
    [manifest] = evil.rglob("manifest.json")
    for question in ("q0", "q1"):
        code, text = invoke("inspect", manifest.parent, "-q", question)
        assert code == 0
        assert "[red]" in text.replace("\n", "")
        assert not RAW.search(text)


def test_a_trait_breaks_out_of_no_table(evil: Path) -> None:
    found = leaderboard.boards(results.find_runs(evil))
    wide = views.View(wide=True)
    table = [line for line in tables.markdown(views.tables(found, wide)).splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(re.findall(r"\|", table[1]))}
    assert "![i]" not in table[2] and "<b>" not in table[2]
    latex = tables.latex(views.tables(found, wide))
    assert latex.count("\\end{") == 1
    rows = [line for line in latex.splitlines() if not line.startswith(("%", "\\")) and line]
    assert len(rows) == 2 and all(row.endswith(r"\\") for row in rows)


def test_a_label_is_no_formula_in_a_spreadsheet(evil: Path) -> None:
    found = leaderboard.boards(results.find_runs(evil))
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(found))))
    assert {row["system"] for row in rows} == {"'+1+2"}
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())
    assert json.loads(formats.to_json(found))[0]["sections"][0]["rows"][0]["label"] == "+1+2"


@pytest.mark.parametrize("escape", [for_terminal, one_line, for_markdown, for_latex, for_csv])
def test_no_escaper_lets_a_command_through(escape: object) -> None:
    assert callable(escape)
    assert not RAW.search(escape(EVIL))


def test_a_message_is_one_line_of_a_length_that_can_be_read() -> None:
    said = one_line(f"no such file {'x' * 20_000} in\n{'word ' * 9000}")
    assert len(said) == LONGEST and "\n" not in said
    assert said.startswith("no such file xxx") and said.endswith("word")


@pytest.mark.parametrize(
    "arguments",
    [
        ["leaderboard", "\udcff"],
        ["leaderboard", "a\x1b[31m"],
        ["publish", "--to", ""],
        ["\x1b[31m"],
        ["run", "-t", "nq", "-s", "rag", "--label", "x\x00"],
        ["run", "--limit", "\x9b1"],
    ],
)
def test_an_argument_that_is_no_text_is_refused_at_the_door(arguments: list[str]) -> None:
    code, text = invoke(*arguments)
    assert code == 2
    assert re.search(rf"Error: argument {len(arguments)} (is not UTF-8|holds a control character|is empty)", text)
    assert not RAW.search(text)


@pytest.mark.parametrize("arguments", [["run", "--limit", "x\ny" * 9999], ["no\nsuch" * 999], ["--no\nsuch"]])
def test_a_wrong_use_is_said_in_one_line(arguments: list[str]) -> None:
    code, text = invoke(*arguments)
    assert code == 2
    [said] = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert text.endswith(said + "\n") and len(said) <= LONGEST + len("Error: ")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift_jis"])
@pytest.mark.parametrize("command", [["--help"], ["leaderboard", "evil"], ["list", "metrics"], ["inspect", "RUN"]])
def test_a_console_that_lacks_characters_is_shown_the_nearest(evil: Path, command: list[str], encoding: str) -> None:
    [manifest] = evil.rglob("manifest.json")
    asked = [str(manifest.parent) if one == "RUN" else one for one in command]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "clara_bench", *asked], env=env, cwd=evil.parent, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding)
    assert b"Traceback" not in done.stderr
