"""Metrics of supporting sentences, evidence triples and joint scores."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.metrics import get
from clara_bench.metrics.support import matched_official, matched_once
from clara_bench.types import Answer, Fact, Gold, Record, Triple

CHECK = settings(max_examples=40, deadline=None, derandomize=True)

FACTS = (Fact("Rome", 0), Fact("Italy", 2))


def score(name: str, gold: Gold, answer: Answer, scorer: str = "hotpotqa") -> float | None:
    return get(name, scorer).score(gold, Record("q", answer))


def test_support_worked_by_hand():
    # one of two predicted is right, one of two gold is found
    gold, answer = Gold(("x",), facts=FACTS), Answer("x", support=(Fact("Rome", 0), Fact("Rome", 1)))
    found = [score(f"support_{part}", gold, answer) for part in ("em", "f1", "precision", "recall")]
    assert found == [0.0, 0.5, 0.5, 0.5]


def test_support_predicted_twice_counts_once():
    gold, answer = Gold(("x",), facts=FACTS), Answer("x", support=(FACTS[0], FACTS[0], Fact("Oslo", 0)))
    assert score("support_precision", gold, answer) == 1 / 2
    assert score("support_recall", gold, answer) == 1 / 2


def test_titles_are_compared_in_lower_case_by_the_2wiki_scorer_alone():
    gold, answer = Gold(("x",), facts=FACTS), Answer("x", support=(Fact("ROME", 0), Fact("italy", 2)))
    assert score("support_f1", gold, answer, "2wiki") == 1.0
    assert score("support_f1", gold, answer, "hotpotqa") == 0.0


def test_support_is_by_passage_where_the_gold_has_no_sentences():
    gold = Gold(("x",), supporting=frozenset({"p1", "p2"}))
    answer = Answer("x", support=(Fact("p1", 0), Fact("p1", 3), Fact("p9", 0)))
    assert score("support_f1", gold, answer, "musique") == 0.5


def test_no_predicted_support_is_zero_as_in_the_official_scripts():
    gold = Gold(("x",), facts=FACTS)
    assert [score(name, gold, Answer("x")) for name in ("support_em", "support_f1", "joint_em", "joint_f1")] == [0] * 4
    assert score("support_em", gold, Answer("x", support=())) == 0.0


def test_support_that_was_taken_away_is_not_asked_for():
    gold = Gold(("x",), supporting=frozenset({"p1"}), answerable=False)
    assert score("support_f1", gold, Answer("x", support=(Fact("p1", 0),)), "musique") is None


def test_joint_worked_by_hand():
    # answer: P 1/2, R 1; support: P 1, R 1/2; joint P = R = 1/2, F1 = 1/2, EM = 0
    gold, answer = Gold(("Rome",), facts=FACTS), Answer("Rome Italy", support=FACTS[:1])
    assert score("joint_f1", gold, answer) == 0.5
    assert score("joint_em", gold, answer) == 0.0
    assert score("joint_em", gold, Answer("Rome", support=FACTS)) == 1.0


def test_the_2wiki_joint_asks_for_the_evidence_too():
    triple = Triple("Rome", "capital of", "Italy")
    gold = Gold(("Rome",), facts=FACTS, evidences=((triple,),))
    without, complete = Answer("Rome", support=FACTS), Answer("Rome", support=FACTS, evidences=(triple,))
    assert [score("joint_f1", gold, answer, "2wiki") for answer in (without, complete)] == [0.0, 1.0]
    assert score("joint_f1", gold, without, "hotpotqa") == 1.0


def test_two_spellings_of_one_triple_count_once_but_under_the_official_name_twice():
    spellings = (Triple("Rome", "in", "Italy"), Triple("Roma", "in", "Italy"))
    gold, answer = Gold(("x",), evidences=(spellings,)), Answer("x", evidences=spellings)
    # strict: one of two predictions matches the one step; P 1/2, R 1. Official: P 1, R 2, F1 4/3
    assert score("evidence_precision", gold, answer) == 0.5
    assert score("evidence_recall", gold, answer) == 1.0
    assert score("evidence_f1", gold, answer) == pytest.approx(2 / 3)
    assert score("evidence_f1_official", gold, answer) == pytest.approx(4 / 3)


def test_one_step_predicted_twice_passes_for_two_under_the_official_name_alone():
    spellings = (Triple("Rome", "in", "Italy"), Triple("Roma", "in", "Italy"))
    gold = Gold(("x",), evidences=(spellings, (Triple("Oslo", "in", "Norway"),)))
    answer = Answer("x", evidences=spellings)
    assert [score(name, gold, answer) for name in ("evidence_em_official", "evidence_em")] == [1.0, 0.0]


def test_evidence_is_compared_without_case_and_punctuation_but_with_articles():
    gold = Gold(("x",), evidences=((Triple("The Who", "formed in", "1964"),),))
    assert score("evidence_em", gold, Answer("x", evidences=(Triple("the who!", "Formed  in", "1964."),))) == 1.0
    assert score("evidence_em", gold, Answer("x", evidences=(Triple("Who", "formed in", "1964"),))) == 0.0


def test_a_triple_that_fits_two_steps_is_placed_where_most_match():
    a, b = Triple("a", "r", "x"), Triple("b", "r", "x")
    assert matched_once([a, b], [frozenset({a, b}), frozenset({a})]) == 2
    assert matched_once([a], [frozenset({a}), frozenset({a})]) == 1


TRIPLES = st.builds(Triple, st.sampled_from("ab"), st.sampled_from("rs"), st.sampled_from("xyz"))


@CHECK
@given(
    predicted=st.frozensets(TRIPLES, max_size=5),
    steps=st.lists(st.frozensets(TRIPLES, min_size=1, max_size=4), max_size=4),
)
def test_matching_is_the_largest_there_is(predicted: frozenset[Triple], steps: list[frozenset[Triple]]):
    slots = [*steps, *([frozenset()] * len(predicted))]
    best = max(
        sum(triple in step for triple, step in zip(predicted, order, strict=False))
        for order in itertools.permutations(slots, len(predicted))
    )
    assert matched_once(predicted, steps) == best <= matched_official(predicted, steps)


@pytest.mark.parametrize("part", ["em", "f1", "precision", "recall"])
@CHECK
@given(
    predicted=st.lists(TRIPLES, max_size=6),
    steps=st.lists(st.lists(TRIPLES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4),
)
def test_strict_evidence_scores_are_fractions(part: str, predicted: list[Triple], steps: list[tuple[Triple, ...]]):
    gold, answer = Gold(("x",), evidences=tuple(steps)), Answer("x", evidences=tuple(predicted))
    assert 0.0 <= score(f"evidence_{part}", gold, answer) <= 1.0
