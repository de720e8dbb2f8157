"""The coin-flip line is what a reader that picks the passage at random gets."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from clara_bench.worlds import Fact, Form, Step, WorldConfig, coin_flip, coin_flip_line, gate, generate


def form(answer: str, ask: str, relations: tuple[str, ...], candidates: str) -> Form:
    steps = tuple(Step("A", relation, answer, "a") for relation in relations)
    ends = (0,) if ask == "value" else (0, 1)
    return Form(steps, ask, ends, (), answer, "single", "", None, ("a",), tuple(candidates))  # type: ignore[arg-type]


FACTS = {
    "a": (Fact("A", "city.mayor", "Ann", 0), Fact("A", "city.river", "Po", 1)),
    "b": (Fact("B", "city.mayor", "Bob", 0),),
    "c": (Fact("C", "city.mayor", "Ann", 0),),
    "d": (Fact("D", "person.father", "Ann", 0),),
}


def test_hand_computed_cases() -> None:
    # three candidates state a mayor, two of them Ann
    assert coin_flip(form("Ann", "value", ("city.mayor",), "abcd"), FACTS) == pytest.approx(2 / 3)
    assert coin_flip(form("Po", "value", ("city.river",), "abcd"), FACTS) == 1.0
    assert coin_flip(form("Po", "value", ("city.river",), "bcd"), FACTS) == 0.0
    # of the six ordered pairs of mayors two are (Ann, Ann)
    assert coin_flip(form("yes", "same", ("city.mayor",) * 2, "abcd"), FACTS) == pytest.approx(1 / 3)
    assert coin_flip(form("no", "same", ("city.mayor",) * 2, "abcd"), FACTS) == pytest.approx(2 / 3)
    assert coin_flip(form("A", "low", ("city.founded",) * 2, "abcd"), FACTS) == 0.5


def test_the_line_is_what_such_a_reader_scores() -> None:
    world = generate("hotpotqa", WorldConfig(questions=400))
    generator = random.Random(0)
    right = []
    for asked in world.forms:
        relation = asked.steps[asked.ends[0]].relation
        values = [fact.value for p in asked.candidates for fact in world.facts(p) if fact.relation == relation]
        for _ in range(5):
            if asked.ask == "value":
                said = generator.choice(values)
            elif asked.ask == "same":
                said = "yes" if len(set(generator.sample(values, 2))) == 1 else "no"
            else:
                said = generator.choice(asked.options)
            right.append(said == asked.answer)
    assert fmean(right) == pytest.approx(coin_flip_line(world)["all"], abs=0.03)


def test_the_line_is_drawn_for_each_kind() -> None:
    line = coin_flip_line(generate("hotpotqa", WorldConfig(questions=80, passages=400)))
    assert line.keys() == {"all", "bridge-clue", "bridge-backlink", "bridge-none", "comparison"}
    assert all(0 < score < 0.7 for score in line.values())


@pytest.mark.parametrize("tier", ["easy", "hard"])
def test_the_gate_can_only_be_passed_by_telling_two_like_passages_apart(tier: str) -> None:
    world = gate(WorldConfig(questions=200, passages=600, tier=tier))  # type: ignore[arg-type]
    assert coin_flip_line(world) == {"all": 0.5, "single": 0.5}
    assert len({row["question"] for row in world.rows}) == 200
    for row, asked in zip(world.rows, world.forms, strict=True):
        step = asked.steps[0]
        both = [[fact.value for fact in world.facts(p) if fact.relation == step.relation] for p in asked.candidates]
        assert len(both) == 2 and both[0] != both[1] and [asked.answer] in both
        assert sum(context["isgold"] for context in row["ctxs"]) == 1
    assert sum(row["ctxs"][0]["isgold"] for row in world.rows) == 100
    shared = [len({word for c in row["ctxs"] for word in c["title"].split()}) < 4 for row in world.rows]
    assert sum(shared) > 40
