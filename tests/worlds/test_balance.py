"""Nothing is gained by guessing from the question alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache

import pytest

from clara_bench.worlds import Form, WorldConfig, generate

TASKS = pytest.mark.parametrize("schema", ["hotpotqa", "2wikimultihopqa"])


@cache
def comparisons(schema: str) -> list[Form]:
    world = generate(schema, WorldConfig(seed=2, questions=1600, passages=3200))
    return [form for form in world.forms if form.options]


@TASKS
def test_yes_and_no_are_equally_frequent(schema: str) -> None:
    answers = Counter((form.kind, form.answer) for form in comparisons(schema) if form.ask == "same")
    assert len(answers) == 2 * len({kind for kind, _ in answers})
    assert all(count == 100 for count in answers.values())


@TASKS
def test_the_first_and_the_second_named_are_equally_often_the_answer(schema: str) -> None:
    sides = Counter(
        (form.kind, form.ask, form.options.index(form.answer)) for form in comparisons(schema) if form.ask != "same"
    )
    assert set(sides.values()) == {50}
    assert {side for _, _, side in sides} == {0, 1} and {ask for _, ask, _ in sides} == {"low", "high"}


@TASKS
def test_the_relation_asked_for_does_not_hint_at_the_answer(schema: str) -> None:
    """Knowing the answers to half the questions of each wording does not help with the other half."""
    seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    right = total = 0
    for number, form in enumerate(comparisons(schema)):
        wording = (form.ask, *(form.steps[end].relation for end in form.ends))
        answer = form.answer if form.ask == "same" else str(form.options.index(form.answer))
        if number // 8 % 2 == 0:
            seen[wording][answer] += 1
        elif seen[wording]:
            right += seen[wording].most_common(1)[0][0] == answer
            total += 1
    assert total > 150
    assert abs(right / total - 0.5) < 3 * 0.5 / total**0.5


@TASKS
def test_the_named_entities_of_a_comparison_are_of_one_type(schema: str) -> None:
    for form in comparisons(schema):
        half = len(form.steps) // 2
        assert [step.relation for step in form.steps[:half]] == [step.relation for step in form.steps[half:]]
        assert len(set(form.options)) == 2
