"""Compressors that ask a language model what it could have guessed: what is surprising stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from clara_bench import Passage, Question
from clara_bench.compress.selective_context import SelectiveContext

QUESTION = Question("q", "Where did the dog sit?")
KNOWN = "the cat sat on the mat and the dog sat on the log . "


@pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
def test_selective_context_keeps_what_the_model_does_not_expect(taught: Path, unit: str) -> None:
    text = f"{KNOWN * 2}Frank Herbert wrote Dune. {KNOWN}"
    options = SelectiveContext.Options(rate=6, unit=unit, model=str(taught))  # type: ignore[arg-type]
    kept = SelectiveContext(options).compress(QUESTION, [Passage("p", "", text)])
    assert "erbert" in kept and "Dune" in kept
    assert "sat on the log" not in kept
