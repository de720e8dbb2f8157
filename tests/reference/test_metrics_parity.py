"""The harness's metrics count as the paper's evaluation script does where they say so.

Tests with a number answer to the same number in the list of what a faithful implementation must show.
"""

from __future__ import annotations

import pytest

from clara_bench import Answer, Gold, Ranked
from clara_bench.metrics import get
from clara_bench.types import Record


def score(name: str, answer: str, *references: str) -> float | None:
    return get(name).score(Gold(references), Record("q", Answer(answer)))


def recall(cutoff: int, retrieved: str, *positives: str) -> float | None:
    ranking = tuple(Ranked(passage_id, -float(rank)) for rank, passage_id in enumerate(retrieved))
    gold = Gold(("x",), frozenset(positives))
    return get(f"recall@{cutoff}").score(gold, Record("q", Answer("x", ranking)))


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("The  Cat.", "cat"), ("A dog, an ape & the U.S.!", "dog ape us"), ("THEATRE", "theatre"),
     ("well-known", "wellknown"), (" an answer\n", "answer")],
)  # fmt: skip
def test_28_exact_match_normalises_as_squad_does(answer: str, reference: str):
    assert score("em", answer, reference) == score("em_first", answer, reference) == 1


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [("yes it is", "yes", 0), ("yes", "yes", 1), ("no", "no way", 0), ("True", "yes", 1), ("False", "no", 1),
     ("true", "yes", 0), ("noanswer", "no answer", 0), ("big red dog", "red dog", 0.8)],
)  # fmt: skip
def test_28_yes_and_no_are_all_or_nothing_and_true_and_false_are_read_as_them(answer: str, reference: str, f1: float):
    assert score("f1_first", answer, reference) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "reference", "coded", "substring"),
    [
        ("1999 2004", "2004 1999", 1, 0),  # order does not count for the coded one
        ("a new town in York", "New York", 1, 0),  # nor does adjacency
        ("York", "York York", 1, 0),  # nor number
        ("well-known", "well known", 0, 0),  # the hyphen goes and joins the words
        ("I do not know", "no", 0, 1),  # nor do letters within a word
        ("in New York City", "York City", 1, 1),
        ("Paris", "Rome", 0, 0),
    ],
)
def test_28_the_coded_cover_match_and_the_substring_differ_where_they_should(
    answer: str, reference: str, coded: float, substring: float
):
    assert score("cover_bag_first", answer, reference) == coded
    assert score("cover_substring", answer, reference) == substring


def test_28_an_empty_gold_answer_is_always_covered_by_the_coded_rule_but_only_beside_one_that_can_be_scored():
    assert score("cover_bag_first", "Paris", "The", "Rome") == 1
    assert score("cover_bag", "Paris", "The", "Rome") == 0
    assert score("cover_bag_first", "Paris", "The") is None


def test_28_the_coded_metrics_look_at_the_first_gold_answer_alone():
    for name in ("em", "f1", "cover_bag"):
        assert score(f"{name}_first", "Rome", "City of seven hills", "Rome") == 0
        assert score(name, "Rome", "City of seven hills", "Rome") == 1


def test_29_recall_is_the_share_of_positives_among_the_first_k():
    assert [recall(k, "abcde", "b", "e", "z") for k in (1, 2, 4, 5)] == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3])


def test_29_a_question_without_positives_has_no_recall():
    assert recall(5, "abc") is None


def test_29_a_cutoff_beyond_the_list_takes_the_whole_list():
    assert recall(50, "abc", "c", "a") == 1
    assert recall(50, "", "a") == 0


@pytest.mark.parametrize("positives", ["a", "ab", "abcd"])
def test_29_recall_at_1_cannot_exceed_one_over_the_number_of_positives(positives: str):
    assert recall(1, "abcde", *positives) == pytest.approx(1 / len(positives))
