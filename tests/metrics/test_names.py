"""Metrics by name."""

import re

import pytest

from clara_bench.errors import ConfigError, UnknownName
from clara_bench.metrics import Metric, get, names
from clara_bench.metrics.statistics import summarise
from clara_bench.types import Answer, Gold, Record, Triple

SPELT = [name.replace("@k", "@5") for name in names()]


@pytest.mark.parametrize("name", SPELT)
def test_every_metric_prints_as_the_name_that_gets_it(name: str):
    metric = get(name)
    assert isinstance(metric, Metric)
    assert str(metric) == metric.name == name


@pytest.mark.parametrize("name", SPELT)
def test_every_metric_says_what_it_is(name: str):
    metric = get(name)
    assert metric.description.endswith(".") and "\n" not in metric.description
    assert metric.unit in {"fraction", "tokens", "seconds", "dollars", "ratio"}
    assert metric.citation or metric.family == "cost" or name == "all_support@5"
    assert (metric.unit == "fraction") == (metric.family != "cost" or metric.name == "truncated")


def test_names_are_listed_once():
    assert len(set(names())) == len(names()) >= 50


def test_a_misspelt_metric_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"unknown metric 'recal@5'\. Did you mean 'recall@5'\?"):
        get("recal@5")
    with pytest.raises(UnknownName, match=r"Did you mean 'f1_hotpotqa'\?"):
        get("f1_hotpot")
    with pytest.raises(UnknownName, match="unknown metric ''"):
        get("")


def test_an_unknown_scorer_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"unknown answer scorer 'hotpot'\. Did you mean 'hotpotqa'\?"):
        get("f1", "hotpot")


@pytest.mark.parametrize("cutoff", ["0", "x", "", "-1", "05", "5.0", " 5", "5 ", "+5", "٥", "5@5", "9" * 5000])
def test_a_cutoff_that_is_no_whole_number_from_one_up_is_refused(cutoff: str):
    with pytest.raises(ConfigError, match=re.escape(f"metric 'recall@{cutoff}': the cutoff must be")):
        get(f"recall@{cutoff}")


def test_a_cutoff_is_refused_where_there_can_be_none_and_asked_for_where_there_must_be_one():
    with pytest.raises(ConfigError, match="f1 takes no cutoff"):
        get("f1@5")
    with pytest.raises(ConfigError, match="Write 'recall@5'"):
        get("recall")


@pytest.mark.parametrize(("scorer", "expected"), [("squad", 0.5), ("hotpotqa", 0.0), ("musique", 0.5), ("2wiki", 0.0)])
def test_f1_is_that_of_the_scorer_and_the_explicit_name_is_always_the_same(scorer: str, expected: float):
    gold, record = Gold(("yes",)), Record("q", Answer("yes it is"))
    assert get("f1", scorer).score(gold, record) == expected
    assert get(f"f1_{scorer}", "squad").score(gold, record) == expected


FULL = Gold(("Rome",), frozenset({"p"}), evidences=((Triple("a", "b", "c"),),))
CONTRAST = Gold(("Rome",), answerable=False)


@pytest.mark.parametrize("name", SPELT)
def test_no_answer_and_a_failed_one_are_zero_and_have_no_cost(name: str):
    metric = get(name)
    expected = None if metric.family == "cost" else 0.0
    assert metric.applies(FULL, CONTRAST)
    for status in (None, "error", "out-of-memory", "timeout"):
        failed = None if status is None else Record("q", Answer("Rome", status=status), (1,))
        found = summarise([metric], [FULL, CONTRAST], [failed, failed], with_intervals=False, contrasts={0: 1})[name]
        assert (found.mean, found.failed > 0) == (expected, True)


@pytest.mark.parametrize("name", [name for name in SPELT if get(name).family != "cost"])
def test_metrics_are_silent_where_the_gold_has_nothing_to_compare_with(name: str):
    bare = Gold(())
    assert not get(name).applies(bare)
    assert get(name).score(bare, Record("q", Answer("Rome"), (1,))) is None
    assert get(name).score(bare, None) is None
