"""Scores from records: what a whole run cannot have is left out, and pairs of questions are found by their ids."""

from __future__ import annotations

from clara_bench.reporting import scoring
from clara_bench.types import Answer, Example, Fact, Gold, Question, Record

PAIR = (
    Example(Question("q", "Which?"), Gold(("x",), supporting=frozenset({"p"}))),
    Example(Question("q#unanswerable", "Which?"), Gold(("x",), answerable=False)),
)
GROUPED = ["group_answer_sufficiency_f1", "group_support_sufficiency_f1"]
SUPPORT = (Fact("p", 0),)


def grouped(*answers: Answer) -> dict[str, float | None]:
    records = [Record(example.question.id, answer) for example, answer in zip(PAIR, answers, strict=True)]
    found = scoring.score(PAIR, records, [*GROUPED, "em"], "musique", "closed")
    return {name: summary.mean for name, summary in found.metrics.items()}


def test_a_pair_scores_if_both_questions_are_told_for_what_they_are() -> None:
    right = Answer("x", support=SUPPORT, answerable=True)
    for contrast, expected in ((False, 1.0), (True, 0.0), (None, 0.0)):
        found = grouped(right, Answer("", status="empty", answerable=contrast))
        assert found == {GROUPED[0]: expected, GROUPED[1]: expected, "em": 1.0}
    failed = Answer("", status="error", answerable=False)
    assert grouped(right, failed) == {GROUPED[0]: 0.0, GROUPED[1]: 0.0, "em": 1.0}


def test_what_no_answer_predicts_is_left_out_and_not_zero() -> None:
    assert grouped(Answer("x"), Answer("x")) == {"em": 1.0}
    assert set(grouped(Answer("x", answerable=True), Answer("x"))) == {GROUPED[0], "em"}


def test_the_2wiki_joint_score_is_left_out_where_no_evidence_is_predicted() -> None:
    example = Example(Question("q", "Which?"), Gold(("x",), facts=SUPPORT))
    records = [Record("q", Answer("x", support=SUPPORT))]
    for scorer, expected in (("2wiki", set()), ("hotpotqa", {"joint_f1"})):
        assert set(scoring.score([example], records, ["joint_f1"], scorer, "closed").metrics) == expected


def test_a_search_that_found_nothing_scores_zero_and_where_there_is_none_nothing_is_scored() -> None:
    example = Example(Question("q", "Who?"), Gold(("Bo",), frozenset({"p1"})))
    nothing, none = (Record("q", Answer("Bo", retrieved=retrieved)) for retrieved in ((), None))
    found = scoring.score([example], [nothing], ["recall@5", "mrr"], "squad", "corpus").metrics
    assert {name: summary.mean for name, summary in found.items()} == {"recall@5": 0.0, "mrr": 0.0}
    assert not scoring.score([example], [none], ["recall@5", "mrr"], "squad", "corpus").metrics
