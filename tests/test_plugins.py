"""What a plug-in may do wrong, as the person sees it who runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from clara_bench.cli import main

PLUGIN = """\
import sys
from dataclasses import dataclass
from clara_bench import Answer, IndexStats, Traits


class Mine:
    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        return [Answer("Oslo") for _ in questions]
"""
INDEX = "        return IndexStats(len(corpus), 0.0, 0)\n"

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(capitals: Path) -> Run:
    """Run a plug-in's text over the capitals; returns the exit code and the lines of the error."""

    def start(text: str, *more: str) -> tuple[int, list[str]]:
        file = capitals.with_name("mine.py")
        file.write_text(text, encoding="utf-8")
        command = ["run", "-t", str(capitals), "-s", f"{file}:Mine", "--out", str(capitals.with_name("runs")), *more]
        done = CliRunner().invoke(main, command)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, [line for line in done.output.splitlines() if line.startswith("Error: ")]

    return start


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sys.exit(0)", "does not import: NameError: name 'sys' is not defined (mine.py:1)"),
        ("import sys; sys.exit(0)", "does not import: SystemExit: 0 (mine.py:1)"),
        ("def (:", "does not import: SyntaxError: invalid syntax (mine.py, line 1)"),
        (PLUGIN + "    def __init__(self): raise RuntimeError('no GPU')\n", "made: RuntimeError: no GPU (mine.py:"),
        (PLUGIN + "    def __init__(self): sys.exit('bye')\n", "cannot be made: SystemExit: bye (mine.py:"),
        (PLUGIN.replace(INDEX, "        1 / 0\n"), "cannot index: ZeroDivisionError: division by zero (mine.py:"),
        (PLUGIN.replace(INDEX, "        sys.exit(0)\n"), "cannot index: SystemExit: 0 (mine.py:"),
        (PLUGIN.replace(INDEX, "        corpus.clear()\n"), "cannot index: AttributeError: 'Corpus'"),
        (PLUGIN.replace(INDEX, "        pass\n"), "index() is of type NoneType, expected clara_bench.IndexStats"),
        (PLUGIN.replace("class Mine:", "class Mine:\n    class Options: pass"), "its Options must be a dataclass"),
        (PLUGIN.replace("class Mine:", "class Mine:\n    @dataclass\n    class Options:\n        k: 'Number' = 1\n"),
         "its Options must be a dataclass with known types: NameError: name 'Number' is not defined"),
        (PLUGIN + "    traits = {'backbone': 'x'}\n", "traits is of type dict, expected clara_bench.Traits"),
        (PLUGIN + "    traits = Traits(nominal_ratio='16x')\n", "traits: expected float | null at $.nominal_ratio"),
        (PLUGIN + "    def describe(self): return {'a': object()}\n", "recorded: TypeError: object is no plain"),
        (PLUGIN + "    def describe(self): 1 / 0\n", "recorded: ZeroDivisionError: division by zero (mine"),
    ],
)  # fmt: skip
def test_whatever_a_plugin_raises_outside_of_answering_is_one_line_with_its_place(
    run: Run, text: str, message: str
) -> None:
    code, errors = run(text)
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]


def test_a_plugin_cannot_end_the_run_as_if_it_had_succeeded(run: Run) -> None:
    code, _ = run(PLUGIN.replace('return [Answer("Oslo") for _ in questions]', "sys.exit(0)"))
    assert code == 1


def test_a_file_without_its_class_is_told_how_to_name_one(capitals: Path) -> None:
    done = CliRunner().invoke(main, ["run", "-t", str(capitals), "-s", "mine.py"])
    assert "Expected PATH/FILE.py:CLASS" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--limit", "0"], "--limit must be at least 1, got 0"),
        (["--batch", "0"], "--batch must be at least 1, got 0"),
        (["--depth", "0"], "--depth must be at least 1, got 0"),
        (["--candidates", "bm52"], "unknown retriever 'bm52'. Did you mean 'bm25'?"),
        (["--label", "x" * 300], "is longer than 200 bytes"),
        (["--label", "\n"], "has no letter or digit"),
    ],
)
def test_what_a_run_cannot_use_is_refused_before_it_begins(run: Run, arguments: list[str], message: str) -> None:
    code, [error] = run(PLUGIN, *arguments)
    assert code == 2
    assert message in error


def test_modules_answer_at_the_places_where_they_were() -> None:
    from clara_bench import provenance, runner
    from clara_bench.components import registry as now
    from clara_bench.compress.shared.surprisal import LanguageModel
    from clara_bench.compress.surprisal import LanguageModel as Before
    from clara_bench.registry import create
    from clara_bench.running import provenance as provenance_now
    from clara_bench.running import runner as runner_now

    assert create is now.create and Before is LanguageModel
    assert (provenance, runner) == (provenance_now, runner_now)
