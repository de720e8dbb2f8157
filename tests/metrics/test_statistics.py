"""Means, denominators and intervals."""

import random
import subprocess
import sys
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clara_bench.metrics import get, names
from clara_bench.metrics.differences import differences
from clara_bench.metrics.statistics import Summary, summarise
from clara_bench.types import Answer, Gold, Ranked, Record, Usage

CHECK = settings(max_examples=40, deadline=None, derandomize=True)

EM = get("em")
GOLD = Gold(("Rome",), supporting=frozenset({"p"}))


def right(usage: Usage = Usage()) -> Record:
    return Record("q", Answer("Rome", (Ranked("p", 1.0),), usage))


def wrong() -> Record:
    return Record("q", Answer("Oslo"))


def failure(status: str = "error") -> Record:
    return Record("q", Answer("Rome", (Ranked("p", 1.0),), status=status))


def test_unanswered_and_failed_questions_count_as_zero_and_are_shown():
    records = [right(), wrong(), None, failure("error"), failure("out-of-memory"), failure("timeout"), right(), right()]
    found = summarise([EM, get("recall@1")], [GOLD] * 8, records)
    assert found["em"].mean == found["recall@1"].mean == 3 / 8
    assert (found["em"].n, found["em"].unscored, found["em"].failed) == (8, 0, 4)


def test_truncated_and_empty_answers_are_scored_and_are_no_failures():
    records = [Record("q", Answer("Rome", status="truncated")), Record("q", Answer("", status="empty"))]
    found = summarise([EM], [GOLD] * 2, records)["em"]
    assert (found.mean, found.n, found.failed) == (0.5, 2, 0)


def test_questions_a_metric_does_not_apply_to_are_unscored_whatever_was_answered():
    golds = [GOLD, Gold(("Rome",), answerable=False), Gold(("Rome",))]
    found = summarise([EM, get("recall@1")], golds, [right(), right(), None])
    assert (found["em"].n, found["em"].unscored, found["em"].failed, found["em"].mean) == (2, 1, 1, 0.5)
    assert (found["recall@1"].n, found["recall@1"].unscored, found["recall@1"].failed) == (1, 2, 0)


def test_questions_whose_references_normalise_to_nothing_are_left_out_with_a_warning():
    golds = [GOLD, Gold(("---",)), Gold((")", "the"))]
    with pytest.warns(UserWarning, match=r"2 of 3 questions have no accepted answer .*\(first: \['---'\]\)"):
        found = summarise([EM], golds, [right()] * 3)["em"]
    assert (found.n, found.unscored, found.mean) == (1, 2, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summarise([get("recall@1")], golds, [right()] * 3)


def test_no_interval_for_fewer_than_two_questions():
    assert summarise([EM], [], [])["em"] == Summary(None, None, 0, 0, 0)
    assert summarise([EM], [GOLD], [right()])["em"] == Summary(1.0, None, 1, 0, 0)
    one_scored = summarise([EM], [GOLD, Gold(("x",), answerable=False)], [right(), right()])["em"]
    assert one_scored == Summary(1.0, None, 1, 1, 0)
    assert summarise([EM], [GOLD] * 9, [right()] * 9, with_intervals=False)["em"].ci95 is None
    assert summarise([], [GOLD], [right()]) == {}


def test_golds_and_records_that_do_not_match_are_a_programming_error():
    with pytest.raises(AssertionError, match="2 golds, 1 records"):
        summarise([EM], [GOLD, GOLD], [right()])


def test_metrics_are_keyed_by_name_in_the_order_asked():
    chosen = ["recall@5", "em", "seconds", "f1"]
    assert list(summarise([get(name) for name in chosen], [GOLD], [right()])) == chosen


def many(size: int, seed: int = 1) -> tuple[list[Gold], list[Record | None]]:
    dice = random.Random(seed)
    kinds = [right(Usage(dice.randint(1, 9), 99, 9)), wrong(), Record("q", Answer("Rome or Oslo")), None]
    return [GOLD] * size, dice.choices(kinds, k=size)


def test_other_metrics_in_the_table_do_not_move_an_interval():
    golds, records = many(300)
    chosen = [EM, get("prompt_tokens"), get("effective_ratio_micro"), get("f1")]
    together = summarise(chosen, golds, records)
    assert {m.name: summarise([m], golds, records)[m.name] for m in chosen} == together


CODE = """
import random
from clara_bench.metrics import get
from clara_bench.metrics.statistics import summarise
from clara_bench.types import Answer, Gold, Record
dice = random.Random(5)
words = "a b c d e f g h".split()
golds = [Gold((" ".join(dice.choices(words, k=3)), "b c")) for _ in range(3000)]
records = [Record(str(i), Answer(" ".join(dice.choices(words, k=7)))) for i in range(3000)]
found = summarise([get("f1"), get("token_precision"), get("answer_tokens")], golds, records)
print([(s.mean.hex(), s.ci95[0].hex(), s.ci95[1].hex()) for s in found.values()])
"""


def test_the_digits_do_not_depend_on_threads_or_hash_seeds():
    outputs = set()
    for threads, hash_seed in (("1", "0"), ("2", "1")):
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": hash_seed}
        found = subprocess.run(
            [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
        )
        outputs.add(found.stdout)
    assert len(outputs) == 1


@CHECK
@given(st.lists(st.sampled_from([right(), wrong(), None, failure(), Record("q", Answer("Rome now"))]), min_size=2))
def test_means_are_within_their_intervals_and_counts_add_up(records: list[Record | None]):
    found = summarise([EM, get("f1"), get("prompt_tokens")], [GOLD] * len(records), records)
    for summary in found.values():
        assert summary.n + summary.unscored == len(records)
        assert 0 <= summary.failed <= len(records)
        if summary.ci95:
            low, high = summary.ci95
            assert low <= summary.mean <= high
    f1 = found["f1"]
    assert f1.mean == pytest.approx(sum(get("f1").score(GOLD, record) for record in records) / len(records))


def test_scoring_a_whole_dev_set_with_every_answer_and_retrieval_metric_stays_in_seconds():
    # The promise is 3 s for 12,576 questions on a quiet core (benchmarks/scoring.py measures it); here a
    # tenth of them is given a tenth of four times that, enough to catch work that grows with the square.
    dice = random.Random(0)
    spelt = [name.replace("@k", f"@{k}") for name in names() for k in ((1, 2, 5, 10) if "@k" in name else (0,))]
    metrics = [metric for metric in map(get, spelt) if metric.family in {"answer", "retrieval"}]
    golds = [Gold((f"answer {i}", f"reply {i}"), supporting=frozenset({f"{i}-1", f"{i}-2"})) for i in range(1258)]
    records = [
        Record(str(i), Answer(f"the answer {i}", tuple(Ranked(f"{i}-{dice.randrange(40)}", 0.0) for _ in range(20))))
        for i in range(1258)
    ]
    start = time.process_time()
    summarise(metrics, golds, records)
    assert time.process_time() - start < 1.2


def test_what_is_hard_for_both_does_not_widen_the_interval_of_a_difference():
    drawn = random.Random(0)
    hard = [drawn.random() < 0.5 for _ in range(400)]
    baseline = [wrong() if one else right() for one in hard]
    better = [right() if drawn.random() < 0.1 else record for record in baseline]
    [one] = differences([EM], [GOLD] * 400, baseline, better).values()
    alone = [summarise([EM], [GOLD] * 400, records)["em"] for records in (baseline, better)]
    assert one.mean == pytest.approx(alone[1].mean - alone[0].mean)
    assert one.ci95[0] > 0
    assert alone[1].ci95[0] < alone[0].ci95[1]  # side by side the two intervals say nothing


def test_a_question_that_counts_in_one_run_only_is_in_neither_tally_of_a_difference():
    seconds = get("context_positions")
    before, after = [right(Usage(context_positions=10)), failure()], [right(Usage(context_positions=4)), right()]
    found = differences([seconds], [GOLD] * 2, before, after)["context_positions"]
    assert (found.n, found.higher, found.lower) == (1, 0, 1)


def timed(seconds: float, id: str = "q") -> Record:
    return Record(id, Answer("Rome", usage=Usage(9, 9, 9)), seconds=seconds)


def test_seconds_of_one_batch_count_as_one_observation():
    # 4 batches of 25: the interval is Student's over 4 batches, not the five times narrower one over 100 questions
    batches = [timed(seconds) for seconds in (1.0, 1.5, 2.0, 2.5) for _ in range(25)]
    alone = [timed(record.seconds + place * 1e-9) for place, record in enumerate(batches)]
    shared, single = (summarise([get("seconds")], [GOLD] * 100, found)["seconds"] for found in (batches, alone))
    assert shared.mean == pytest.approx(1.75)
    assert shared.ci95 == pytest.approx((1.75 - 3.182 * 0.3227, 1.75 + 3.182 * 0.3227), abs=1e-3)
    assert shared.ci95[1] - shared.ci95[0] > 5 * (single.ci95[1] - single.ci95[0])


def test_seconds_of_a_single_batch_have_no_interval():
    assert summarise([get("seconds")], [GOLD] * 9, [timed(2.0)] * 9)["seconds"].ci95 is None


def test_batches_that_overlap_in_two_runs_are_one_observation_of_their_difference():
    # batches of 2 beside batches of 3: every six questions hang together
    before = [timed(1 + place // 2 * 0.01) for place in range(24)]
    after = [timed(2 + place // 3 * 0.02) for place in range(24)]
    together = differences([get("seconds")], [GOLD] * 24, before, after)["seconds"]
    assert together.p == 2 * 0.5**4
    assert together.mean == pytest.approx(1.015)


def test_right_and_wrong_answers_have_wilson_s_interval_and_others_one_between_their_bounds():
    records = [right()] * 20 + [wrong()] * 80
    assert summarise([EM], [GOLD] * 100, records)["em"].ci95 == pytest.approx((0.1334, 0.2888), abs=1e-4)
    f1 = summarise([get("f1")], [GOLD] * 100, [Record("q", Answer("Rome or Oslo")), *[wrong()] * 99])["f1"]
    assert 0 < f1.ci95[0] < f1.mean < f1.ci95[1] < 0.05


def test_a_difference_tells_rescued_from_broken_by_id():
    ids = ["a", "b", "c", "d"]
    before, after = [right(), wrong(), wrong(), right()], [wrong(), right(), right(), right()]
    found = differences([EM, get("context_positions")], [GOLD] * 4, before, after, ids=ids)
    assert (found["em"].rescued, found["em"].broken) == (("b", "c"), ("a",))
    assert found["context_positions"].rescued == ()


def test_every_difference_says_what_it_could_have_found():
    found = differences([EM], [GOLD] * 400, [right(), wrong()] * 200, [wrong(), right()] * 200)["em"]
    # each question flips: the standard deviation of a change is 1, so that 2.8 / sqrt(400) is found in 80 % of samples
    assert found.detectable == pytest.approx(2.8 / 20, rel=0.02)
    assert (found.p, found.effect) == (1.0, 0.0)


def test_a_micro_ratio_is_compared_as_a_ratio_of_sums():
    ratio = get("effective_ratio_micro")
    before = [right(Usage(context_positions=10, context_text_tokens=40))] * 30
    after = [right(Usage(context_positions=10 + place % 3, context_text_tokens=80)) for place in range(30)]
    found = differences([ratio], [GOLD] * 30, before, after)["effective_ratio_micro"]
    assert found.mean == pytest.approx(80 / 11 - 4)
    assert found.ci95[0] < found.mean < found.ci95[1]
    assert found.p < 1e-4
