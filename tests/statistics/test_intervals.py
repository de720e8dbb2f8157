"""Intervals agree with SciPy and statsmodels, and cover as often as they say."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from benchmarks import intervals as simulated
from clara_bench.statistics import intervals


@pytest.mark.parametrize(("successes", "n"), [(0, 100), (100, 100), (4, 100), (50, 100), (497, 500), (12, 12_576)])
def test_a_share_has_wilson_s_interval_where_more_than_three_are_counted(successes: int, n: int) -> None:
    low, high = intervals.of_share(successes, n)
    wilson = proportion_confint(successes, n, method="wilson")
    if not 0 < successes <= 3:
        assert low == pytest.approx(wilson[0], abs=1e-9)
    if not 0 < n - successes <= 3:
        assert high == pytest.approx(wilson[1], abs=1e-9)
    assert stats.binomtest(successes, n).proportion_ci(method="wilson").low == pytest.approx(wilson[0], abs=1e-9)


@pytest.mark.parametrize("successes", [1, 2, 3])
def test_the_low_end_of_a_rare_share_is_that_of_a_poisson_count(successes: int) -> None:
    low, _ = intervals.of_share(successes, 200)
    assert low == pytest.approx(stats.chi2.ppf(0.05, 2 * successes) / 2 / 200)
    assert intervals.of_share(200 - successes, 200)[1] == pytest.approx(1 - low)


@pytest.mark.parametrize(("successes", "n"), [(5, 100), (50, 100), (20, 1000), (6288, 12_576)])
def test_bounded_values_of_zeros_and_ones_have_jeffreys_interval(successes: int, n: int) -> None:
    values = np.repeat([1.0, 0.0], [successes, n - successes])
    expected = proportion_confint(successes, n, method="jeffreys")
    assert intervals.of_bounded(values, 0.0, 1.0) == pytest.approx(expected, rel=1e-3)


def test_bounded_values_have_the_interval_of_the_bayesian_bootstrap_that_draws() -> None:
    random = np.random.default_rng(0)
    values = simulated.f1_values(random, 150, 0.9)
    weights = random.dirichlet([*np.ones(150), 0.5, 0.5], 40_000)
    drawn = weights @ np.append(values, [0.0, 1.0])
    assert intervals.of_bounded(values, 0.0, 1.0) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.02)


def test_symmetric_values_have_student_s_interval_and_skewed_ones_one_that_leans() -> None:
    values = np.array([-2.0, -1, 0, 1, 2] * 8) + 10
    found = intervals.of_ratio(values, np.ones(40))
    expected = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert found == pytest.approx(expected)
    skewed = np.array([1.0] * 36 + [20.0] * 4)
    low, high = intervals.of_ratio(skewed, np.ones(40)) or (0, 0)
    assert high - skewed.mean() > 1.5 * (skewed.mean() - low)


def test_a_ratio_of_sums_has_the_interval_of_its_linear_part() -> None:
    random = np.random.default_rng(1)
    below = random.integers(5, 20, 400).astype(float)
    above = 3 * below + random.normal(0, 1, 400)
    low, high = intervals.of_ratio(above, below) or (0, 0)
    residuals = above - above.sum() / below.sum() * below
    assert (high - low) / 2 == pytest.approx(1.966 * residuals.std(ddof=1) * 20 / below.sum(), rel=1e-2)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [100, 500, 2000])
def test_shares_are_covered_as_often_as_promised(share: float, size: int) -> None:
    # of 100 questions at 1 % every interval covers 92 or 98 % of samples: that one is on the safe side
    assert 0.93 <= simulated.coverage_of_share(share, size, intervals.of_share) <= 0.985


def test_a_percentile_bootstrap_covers_a_rare_share_in_three_samples_of_five_which_is_why_it_is_gone() -> None:
    assert simulated.coverage_of_share(0.01, 100, simulated.percentile_bootstrap) < 0.65


@pytest.mark.parametrize("zeros", [0.5, 0.9, 0.98])
def test_f1_and_its_changes_are_covered_as_often_as_promised(zeros: float) -> None:
    # 300 samples: two standard errors are 2.5 points
    assert 0.92 <= simulated.coverage_of_f1(zeros, 200, 300) <= 0.99
    assert 0.92 <= simulated.coverage_of_difference(zeros, 500, 300) <= 0.99


def test_seconds_are_covered_by_intervals_over_batches_and_not_by_those_over_questions() -> None:
    assert 0.90 <= simulated.coverage_of_seconds(500, 300) <= 0.98
    assert simulated.coverage_of_seconds(500, 100, by_batch=False) < 0.5
