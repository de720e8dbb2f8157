"""Tests agree with SciPy and statsmodels, and find what is not there as rarely as they say."""

import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as authority
from statsmodels.stats.multitest import multipletests

from benchmarks import intervals as simulated
from clara_bench.statistics.significance import benjamini_hochberg, holm, mcnemar, sign_flip


@pytest.mark.parametrize(("rescued", "broken"), [(0, 0), (3, 9), (10, 10), (0, 6), (120, 90), (500, 380)])
def test_mcnemar_is_statsmodels_exact_one_and_the_permutation_test_of_zeros_and_ones(rescued: int, broken: int) -> None:
    expected = authority([[50, rescued], [broken, 40]], exact=True).pvalue if rescued + broken else 1.0
    assert mcnemar(rescued, broken) == pytest.approx(expected)
    assert sign_flip(np.repeat([1.0, -1.0, 0.0], [rescued, broken, 7])) == pytest.approx(expected)


def test_few_differences_are_tested_over_all_signs_as_by_scipy() -> None:
    less = np.array([0.4, -0.25, 1.0, 0.5, 0.8, 0.0, 0.667, -0.1, 0.3])
    expected = stats.permutation_test((less,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip(less) == pytest.approx(expected)


@pytest.mark.parametrize(
    "values", [[0.5, 1.0], [1, 2, 5], [0.4, 2 / 3, 4 / 7, 0.8, 1.0]], ids=["recall", "tokens", "f1"]
)
@pytest.mark.parametrize("size", [17, 60, 300])
def test_many_differences_are_tested_as_by_drawing_signs(values: list[float], size: int) -> None:
    random = np.random.default_rng(size)
    sizes = random.choice(values, size)
    less = sizes * np.where(random.random(size) < 0.5 + 0.8 / size**0.5, 1, -1)
    drawn = np.abs((random.integers(0, 2, (60_000, size)) * 2 - 1) @ sizes) >= abs(less.sum()) - 1e-9
    expected = drawn.mean()
    error = 3 * (expected * (1 - expected) / 60_000) ** 0.5
    assert sign_flip(less) == pytest.approx(expected, abs=error + 0.02 * expected)


def test_no_seed_decides_and_the_sign_of_a_difference_neither() -> None:
    less = simulated.f1_pairs(np.random.default_rng(3), 400, 0.5)
    assert sign_flip(less) == sign_flip(less) == sign_flip(-less)
    assert sign_flip(np.full(2000, 0.3) + np.linspace(0, 0.01, 2000)) < 1e-300


def test_corrections_are_those_of_statsmodels_and_scipy() -> None:
    values = np.random.default_rng(0).uniform(0, 0.2, 40).tolist()
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert benjamini_hochberg(values) == pytest.approx(multipletests(values, method="fdr_bh")[1])
    assert benjamini_hochberg(values) == pytest.approx(stats.false_discovery_control(values))
    assert holm([]) == benjamini_hochberg([]) == []


def test_equal_systems_differ_as_rarely_as_promised() -> None:
    assert simulated.false_positives_of_mcnemar(0.3, 500) == pytest.approx(0.04, abs=0.01)
    assert 0.02 <= simulated.false_positives_of_f1(0.5, 300, 400) <= 0.08  # 400 samples: 0.05 +- 3 standard errors
    assert simulated.family_wise(20, 200, 60) <= 0.12


def test_a_whole_dev_set_is_tested_in_milliseconds() -> None:
    less = simulated.f1_pairs(np.random.default_rng(0), 12_576, 0.5)
    start = time.process_time()
    sign_flip(less)
    assert time.process_time() - start < 0.2
