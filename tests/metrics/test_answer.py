"""Metrics of the answer's text: where they differ, and what holds for all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.metrics import get, names
from clara_bench.types import Answer, Gold, Record

CHECK = settings(max_examples=40, deadline=None, derandomize=True)

ANSWER_METRICS = [name for name in names() if "@" not in name and get(name).family == "answer"]
SCORERS = ("squad", "hotpotqa", "musique", "2wiki")
PHRASES = st.lists(
    st.sampled_from("the a of New York yes no noanswer U.S. film-maker “x” Zürich 42 True False - )".split()),
    max_size=6,
).map(" ".join)
REFERENCES = st.lists(PHRASES, min_size=1, max_size=4)


def score(name: str, answer: str, *references: str) -> float | None:
    return get(name).score(Gold(references), Record("q", Answer(answer)))


@pytest.mark.parametrize(
    ("answer", "reference", "hotpotqa", "musique"),
    [("yes it is", "yes", 0.0, 0.5), ("the New York New York Times", "New York Times", 0.75, 0.75),
     ("1,000 people", "1000", 2 / 3, 2 / 3)],
)  # fmt: skip
def test_f1_differs_between_data_sets_as_their_scorers_do(answer: str, reference: str, hotpotqa: float, musique: float):
    assert score("f1_hotpotqa", answer, reference) == pytest.approx(hotpotqa)
    assert score("f1_musique", answer, reference) == pytest.approx(musique)


def test_f1_worked_by_hand():
    # answer: king anna of zürich = 4 tokens; reference: anna queen of zürich zürich = 5 tokens
    # shared with multiplicity: anna, of, zürich once = 3; P = 3/4, R = 3/5, F1 = 2 * .45 / 1.35 = 2/3
    arguments = ("King Anna of Zürich", "Anna, Queen of Zürich Zürich")
    assert score("token_precision", *arguments) == pytest.approx(3 / 4)
    assert score("token_recall", *arguments) == pytest.approx(3 / 5)
    assert score("f1", *arguments) == pytest.approx(2 / 3)


def test_precision_and_recall_belong_to_the_reference_that_won_f1():
    references = ("Rome", "city of Rome in central Italy today")
    # rome: P 1/3, R 1, F1 1/2; the long one shares all 3 of its 7: P 1, R 3/7, F1 3/5
    assert score("f1", "city of Rome", *references) == pytest.approx(3 / 5)
    assert score("token_precision", "city of Rome", *references) == 1.0
    assert score("token_recall", "city of Rome", *references) == pytest.approx(3 / 7)


def test_2wiki_takes_precision_and_recall_from_whichever_reference_is_best_for_each():
    gold, record = Gold(("Rome", "city of Rome in central Italy today")), Record("q", Answer("city of Rome"))
    assert get("token_precision", "2wiki").score(gold, record) == 1.0
    assert get("token_recall", "2wiki").score(gold, record) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference", "substring", "sequence", "bag"),
    [
        ("I do not know", "no", 1, 0, 0),
        ("1999 2004", "2004 1999", 0, 0, 1),
        ("It is New York City", "York City", 1, 1, 1),
        ("well-known", "well known", 0, 0, 0),
        ("York-based", "York", 1, 1, 0),
        ("Known as well", "well known", 0, 0, 1),
        ("the U.S. army", "US", 1, 0, 1),
        ("the end", "the", None, None, None),
    ],
)
def test_the_three_cover_metrics_are_three_things(
    answer: str, reference: str, substring: float | None, sequence: float | None, bag: float | None
):
    found = [score(f"cover_{kind}", answer, reference) for kind in ("substring", "sequence", "bag")]
    assert found == [substring, sequence, bag]


def test_a_reference_that_normalises_to_nothing_is_never_covered_but_by_the_papers_count():
    references = ("The", "Rome")
    assert [score(f"cover_{kind}", "Oslo", *references) for kind in ("substring", "sequence", "bag")] == [0, 0, 0]
    assert score("cover_bag_first", "Oslo", *references) == 1.0


def test_first_reference_metrics_look_at_the_first_reference_alone():
    assert [score(name, "Roma", "Rome", "Roma") for name in ("em", "em_first")] == [1.0, 0.0]
    assert [score(name, "Roma", "Rome", "Roma") for name in ("f1", "f1_first")] == [1.0, 0.0]
    assert [score(name, "in Roma", "Rome", "Roma") for name in ("cover_bag", "cover_bag_first")] == [1.0, 0.0]


@pytest.mark.parametrize(("answer", "expected"), [("True", 1.0), ("true", 0.0), ("True.", 0.0), ("yes", 1.0)])
def test_the_papers_count_reads_exactly_true_as_yes(answer: str, expected: float):
    assert [score(name, answer, "yes") for name in ("em_first", "f1_first", "cover_bag_first")] == [expected] * 3
    assert score("em", "True", "yes") == 0.0


def test_unanswerable_questions_have_no_answer_score():
    gold, record = Gold(("Rome",), answerable=False), Record("q", Answer("Rome"))
    assert [get(name).score(gold, record) for name in ANSWER_METRICS] == [None] * len(ANSWER_METRICS)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("name", [name for name in ANSWER_METRICS if not name.endswith("_official")])
@pytest.mark.parametrize("answer", ["", " ", "the", "...", "A", ", the"])
def test_an_answer_that_says_nothing_is_wrong_even_where_a_reference_normalises_to_nothing(
    name: str, scorer: str, answer: str
):
    for references in (("A+", "AB+"), ("Robert Shapiro", ","), ("the +", "Rome")):
        assert get(name, scorer).score(Gold(references), Record("q", Answer(answer))) == 0.0


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_reference_that_normalises_to_nothing_is_right_as_written(scorer: str):
    gold = Gold(("A+", "AB+"))
    for answer, expected in (("A+", 1.0), (" a+ ", 1.0), ("AB+", 1.0), ("A-", 0.0)):
        found = [get(name, scorer).score(gold, Record("q", Answer(answer))) for name in ("em", "f1")]
        assert found == [expected, expected], answer


def test_what_the_script_says_of_such_a_reference_is_kept_under_the_official_name():
    gold, record = Gold(("A+", "AB+")), Record("q", Answer("", status="empty"))
    assert [get("em_official", scorer).score(gold, record) for scorer in SCORERS] == [1.0] * 4
    assert [get("f1_official", scorer).score(gold, record) for scorer in SCORERS] == [0.0, 0.0, 1.0, 0.0]


def test_an_empty_answer_is_scored_and_wrong():
    record = Record("q", Answer("", status="empty"))
    assert {get(name).score(Gold(("Rome", "Roma")), record) for name in ANSWER_METRICS} == {0.0}


@pytest.mark.parametrize("name", ANSWER_METRICS)
@CHECK
@given(answer=PHRASES, references=REFERENCES)
def test_answer_scores_are_fractions(name: str, answer: str, references: list[str]):
    found = score(name, answer, *references)
    assert found is None or 0.0 <= found <= 1.0
    assert (found is not None) == get(name).applies(Gold(tuple(references)))


@pytest.mark.parametrize("name", ANSWER_METRICS)
@CHECK
@given(references=REFERENCES)
def test_the_first_reference_is_a_perfect_answer(name: str, references: list[str]):
    if get(name).applies(Gold((references[0],))):
        assert score(name, references[0], *references) == 1.0


@pytest.mark.parametrize("name", [name for name in ANSWER_METRICS if not name.endswith("_first")])
@CHECK
@given(answer=PHRASES, references=REFERENCES)
def test_the_order_of_the_references_does_not_matter(name: str, answer: str, references: list[str]):
    assert score(name, answer, *references) == score(name, answer, *reversed(references))


@pytest.mark.parametrize("name", ["em", "f1", "cover_substring", "cover_sequence", "cover_bag", "f1_2wiki"])
@CHECK
@given(answer=PHRASES, references=REFERENCES, more=PHRASES)
def test_one_more_reference_never_lowers_a_score(name: str, answer: str, references: list[str], more: str):
    assert (score(name, answer, *references) or 0.0) <= (score(name, answer, *references, more) or 0.0)


@pytest.mark.parametrize("scorer", SCORERS)
@CHECK
@given(answer=PHRASES.filter(lambda text: any(map(str.isalnum, text))), references=REFERENCES)
def test_an_exact_match_has_full_f1_unless_nothing_is_left_to_compare(scorer: str, answer: str, references: list[str]):
    em, f1 = score(f"em_{scorer}", answer, *references), score(f"f1_{scorer}", answer, *references)
    if em is not None and get("answer_tokens").score(Gold(()), Record("q", Answer(answer))):
        assert em <= f1 <= 1.0


@pytest.mark.parametrize("kind", ["substring", "bag"])
@CHECK
@given(answer=PHRASES, references=REFERENCES)
def test_an_exact_match_is_covered(kind: str, answer: str, references: list[str]):
    tokens_left = get("answer_tokens").score(Gold(()), Record("q", Answer(answer)))
    if tokens_left and get("em").applies(Gold(tuple(references))):
        assert score("em", answer, *references) <= score(f"cover_{kind}", answer, *references)
