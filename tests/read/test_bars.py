from __future__ import annotations

import sys

import pytest

from clara_bench.io.quiet import without_bars


def test_bars_are_not_drawn_and_warnings_are(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    with without_bars():
        for _ in tqdm(range(3)):
            sys.stderr.write("warning: cut\n")
    assert capsys.readouterr().err == "warning: cut\n" * 3
