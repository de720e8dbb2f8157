"""Metrics of the ranking, by hand; parity with trec_eval is in test_golden."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.metrics import get
from clara_bench.types import Answer, Gold, Ranked, Record

CHECK = settings(max_examples=40, deadline=None, derandomize=True)

IDS = st.lists(st.sampled_from([f"p{number}" for number in range(12)]), max_size=15)
GOLD = st.frozensets(st.sampled_from([f"p{number}" for number in range(12)]), min_size=1, max_size=5)
FRACTIONS = ("recall", "precision", "hit", "all_support", "mrr", "ndcg")


def score(name: str, retrieved: list[str], *supporting: str) -> float | None:
    ranking = tuple(Ranked(passage_id, -float(rank)) for rank, passage_id in enumerate(retrieved))
    return get(name).score(Gold((), supporting=frozenset(supporting)), Record("q", Answer("", ranking)))


def test_a_ranking_worked_by_hand():
    # gold a, b, c; a at rank 2 and b at rank 4, c not retrieved
    retrieved, gold = ["x", "a", "y", "b", "z"], ("a", "b", "c")
    assert [score(f"recall@{k}", retrieved, *gold) for k in (1, 2, 4, 9)] == [0, 1 / 3, 2 / 3, 2 / 3]
    assert [score(f"precision@{k}", retrieved, *gold) for k in (1, 2, 4, 10)] == [0, 1 / 2, 1 / 2, 1 / 5]
    assert [score(f"hit@{k}", retrieved, *gold) for k in (1, 2)] == [0, 1]
    assert [score(f"all_support@{k}", retrieved, *gold) for k in (2, 9)] == [0, 0]
    assert [score(f"all_support@{k}", retrieved, "a", "b") for k in (3, 4)] == [0, 1]
    assert [score(name, retrieved, *gold) for name in ("mrr", "mrr@1", "mrr@2")] == [1 / 2, 0, 1 / 2]
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert score("ndcg@5", retrieved, *gold) == pytest.approx((1 / log2(3) + 1 / log2(5)) / best)


def test_recall_at_one_is_bounded_by_the_number_of_gold_passages():
    assert score("recall@1", ["a", "b"], "a", "b") == 1 / 2
    assert score("ndcg@1", ["a", "b"], "a", "b") == 1.0


def test_a_passage_listed_twice_counts_once_where_it_is_first():
    assert score("precision@2", ["a", "a", "b"], "a", "b") == 1.0
    assert score("recall@2", ["a", "a", "x"], "a", "b") == 1 / 2
    assert score("mrr", ["x", "x", "a"], "a") == 1 / 2
    assert score("ndcg@3", ["a", "a", "a"], "a", "b") < 1


def test_a_cutoff_past_the_end_of_the_list_is_no_error():
    assert score("recall@1000", ["a"], "a") == 1.0
    assert score("precision@1000", ["a"], "a") == 1 / 1000


def test_nothing_retrieved_is_zero():
    assert [score(f"{family}@5", [], "a") for family in FRACTIONS] == [0.0] * len(FRACTIONS)


@pytest.mark.parametrize("family", FRACTIONS)
@CHECK
@given(retrieved=IDS, gold=GOLD, k=st.integers(1, 20))
def test_retrieval_scores_are_fractions(family: str, retrieved: list[str], gold: frozenset[str], k: int):
    assert 0.0 <= score(f"{family}@{k}", retrieved, *gold) <= 1.0


@pytest.mark.parametrize("family", ["recall", "hit", "all_support", "mrr"])
@CHECK
@given(retrieved=IDS, gold=GOLD, k=st.integers(1, 20))
def test_a_larger_cutoff_never_lowers_a_score(family: str, retrieved: list[str], gold: frozenset[str], k: int):
    assert score(f"{family}@{k}", retrieved, *gold) <= score(f"{family}@{k + 1}", retrieved, *gold)


@CHECK
@given(retrieved=IDS, gold=GOLD, k=st.integers(1, 20))
def test_all_support_is_full_recall_and_hit_is_any_recall(retrieved: list[str], gold: frozenset[str], k: int):
    recall = score(f"recall@{k}", retrieved, *gold)
    assert score(f"all_support@{k}", retrieved, *gold) == float(recall == 1.0)
    assert score(f"hit@{k}", retrieved, *gold) == float(recall > 0)


@CHECK
@given(gold=GOLD, others=st.lists(st.sampled_from("xyz"), unique=True))
def test_gold_first_is_a_perfect_ranking(gold: frozenset[str], others: list[str]):
    retrieved, k = [*sorted(gold), *others], len(gold)
    assert [score(f"{family}@{k}", retrieved, *gold) for family in FRACTIONS] == [1.0] * len(FRACTIONS)


def answer_recall(k: int, ranks: tuple[int, ...] | None, *answers: str, retrieved: int = 5) -> float | None:
    ranking = tuple(Ranked(f"p{rank}", -float(rank)) for rank in range(retrieved))
    return get(f"answer_recall@{k}").score(Gold(answers), Record("q", Answer("", ranking), ranks))


def test_answer_recall_is_whether_an_answer_is_in_the_first_k_passages():
    assert [answer_recall(k, (3, 5), "Rome") for k in (1, 2, 3, 9)] == [0, 0, 1, 1]
    assert answer_recall(5, (), "Rome") == 0.0


def test_answer_recall_is_unknown_where_the_record_does_not_say_and_zero_where_nothing_was_retrieved():
    assert answer_recall(5, None, "Rome") is None
    assert answer_recall(5, None, "Rome", retrieved=0) == 0.0


def test_answer_recall_leaves_out_questions_answered_by_yes_or_no():
    assert answer_recall(5, (1,), "yes") is None
    assert answer_recall(5, (1,), "No.", "Rome") == 1.0
