"""The reader that ships for real questions."""

from __future__ import annotations

import pytest

from clara_bench import Question, create
from clara_bench.components.registry import Component

PASSAGES = (
    "Narvik\nNarvik is a port in northern Norway. It was founded in 1902 and has 14,000 inhabitants.",
    "Tromsø\nTromsø is a city in northern Norway. Its bridge was opened in 1960 by Olav Gundersen.",
)


@pytest.mark.model
def test_the_tuned_reader_answers_briefly_from_the_passage_that_says_it() -> None:
    reader = create("reader", Component("tuned"))
    asked = ["When was Narvik founded?", "Who opened the bridge of Tromsø?"]
    questions = [Question(str(number), text) for number, text in enumerate(asked)]
    found = reader.read(questions, [PASSAGES, PASSAGES])
    assert [reading.text for reading in found] == ["1902", "Olav Gundersen"]
    assert reader.tuned
