"""docs/compressors.md says what is so: its table is the traits', its options are all there, its example runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clara_bench import Component, Question, create
from clara_bench.components.registry import load
from clara_bench.compress.shared.spans import count_words, passage_text
from tests.compress.texts import whole

from .conftest import PASSAGES
from .test_every_compressor import NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "compressors.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[2:6]]
    for cells in (line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `"))
}


def test_every_compressor_is_in_the_table_and_none_else() -> None:
    assert sorted(ROWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_table_shows_the_traits(make: Callable[..., Any], name: str) -> None:
    made = make(name)
    say = {True: "yes", False: "no"}
    rate = "asked" if made.rate_is_input else "outcome"
    assert ROWS[name] == [say[made.query_dependent], rate, say[made.may_be_empty], say[made.offline]]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_on_the_page(name: str) -> None:
    options = set(load("compressor", name).Options.__dataclass_fields__)
    told = {word for quoted in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"[a-z_0-9]+", quoted)}
    assert options <= told


@pytest.mark.parametrize("name", NAMES)
def test_every_compressor_has_a_command(name: str) -> None:
    assert re.search(rf"^ +clara-bench run .*-o compressor={name}( |$)", PAGE, flags=re.MULTILINE)


def test_the_example_of_the_page_is_a_compressor_in_thirty_lines(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(code.splitlines()) <= 30
    (tmp_path / "lexical.py").write_text(code, encoding="utf-8")
    made = create("compressor", Component(f"{tmp_path}/lexical.py:Lexical", {"rate": "4"}))
    kept = whole(made.compress(Question("q", "Who wrote Dune?"), PASSAGES))
    assert "Frank Herbert wrote Dune" in kept
    assert count_words(kept) == count_words(whole(map(passage_text, PASSAGES))) // 4
