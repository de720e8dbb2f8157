"""Metrics of cost: means over the questions that have one."""

import pytest

from clara_bench.metrics import get, names
from clara_bench.metrics.statistics import Summary, summarise
from clara_bench.types import Answer, Gold, Record, Usage

COSTS = [name for name in names() if "@" not in name and get(name).family == "cost"]
GOLD = Gold(("x",))


def record(
    positions: int = 0, text: int = 0, status: str = "ok", seconds: float | None = None, **phases: float
) -> Record:
    usage = Usage(positions, text, prompt_tokens=50, generated_tokens=3, seconds=phases, usd=0.001)
    return Record("q", Answer("x", usage=usage, status=status), seconds=seconds)


def summary(name: str, *records: Record | None) -> Summary:
    return summarise([get(name)], [GOLD] * len(records), records)[name]


def test_the_two_compression_ratios_worked_by_hand():
    # 100 text tokens in 10 positions and 100 in 100: micro 200/110, macro (10 + 1)/2
    records = record(10, 100), record(100, 100)
    assert summary("effective_ratio_micro", *records).mean == pytest.approx(200 / 110)
    assert summary("effective_ratio_macro", *records).mean == pytest.approx(5.5)


def test_the_interval_of_a_ratio_of_sums_is_that_of_the_ratio():
    # positions and text tokens rise together: the ratio is always 10, whatever the questions
    found = summary("effective_ratio_micro", *(record(size, 10 * size) for size in range(1, 20)))
    assert (found.mean, found.ci95) == (10.0, (10.0, 10.0))
    low, high = summary("effective_ratio_micro", record(10, 100), record(100, 100)).ci95
    assert low < 200 / 110 < high


def test_a_ratio_exposes_its_numerator_and_denominator():
    assert get("effective_ratio_micro").parts(GOLD, record(10, 40)) == (40.0, 10.0)
    assert get("effective_ratio_micro").score(GOLD, record(10, 40)) == 4.0
    assert get("effective_ratio_macro").parts(GOLD, record(10, 40)) == (4.0, 1.0)


def test_a_context_compressed_away_counts_in_the_micro_ratio_and_has_no_ratio_of_its_own():
    records = record(10, 100), record(0, 100)
    assert summary("effective_ratio_micro", *records).mean == pytest.approx(20.0)
    assert summary("effective_ratio_macro", *records).unscored == 1
    assert get("effective_ratio_micro").score(GOLD, record(0, 100)) is None


def test_closed_book_has_no_compression_ratio():
    for name in ("effective_ratio_micro", "effective_ratio_macro"):
        assert summary(name, record(), record()) == Summary(None, None, 0, 2, 0)
    assert summary("context_positions", record(), record()).mean == 0.0


@pytest.mark.parametrize("name", COSTS)
def test_failed_questions_have_no_cost_and_are_not_zero(name: str):
    good = record(10, 100, seconds=2.0, retrieve=1.0, compress=1.0, prefill=1.0, decode=1.0)
    alone, among = summary(name, good, good), summary(name, good, None, record(10, 100, status="timeout"), good)
    assert among.mean == alone.mean is not None
    assert (among.n, among.unscored, among.failed) == (2, 2, 2)


@pytest.mark.parametrize("name", [name for name in COSTS if name != "answer_tokens"])
def test_an_answer_that_nobody_counted_has_an_unknown_cost_and_not_none(name: str):
    assert get(name).score(GOLD, Record("q", Answer("x"))) is None


def test_seconds_are_those_measured_outside_or_else_the_sum_of_the_phases():
    assert get("seconds").score(GOLD, record(retrieve=1.0, decode=2.0)) == 3.0
    assert get("seconds").score(GOLD, record(seconds=5.0, retrieve=1.0, decode=2.0)) == 5.0
    assert get("seconds_decode").score(GOLD, record(retrieve=1.0, decode=2.0)) == 2.0
    assert get("seconds_compress").score(GOLD, record(retrieve=1.0, decode=2.0)) is None  # unknown, not nothing


def test_counts_are_read_from_the_usage():
    counts = ("context_positions", "context_text_tokens", "prompt_tokens", "generated_tokens", "answer_tokens")
    found = [get(name).score(GOLD, record(7, 9)) for name in counts]
    assert found == [7, 9, 50, 3, 1]


def test_fewer_tokens_and_seconds_are_better_and_more_compression_is():
    assert {name for name in COSTS if get(name).higher_is_better} == {"effective_ratio_micro", "effective_ratio_macro"}
