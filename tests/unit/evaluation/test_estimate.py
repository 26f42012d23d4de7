"""Estimates: means and ratios with their standard errors."""

from math import sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.evaluation.estimate import Estimate, mean_of, ratio_of

SCORES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50)
PAIRS = st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 500)), min_size=2, max_size=50)


def test_an_estimate_reads_with_its_95_percent_interval_and_count():
    assert str(Estimate(mean=0.75, stderr=0.25, num_scored=4)) == "0.750 +- 0.490 (n=4)"


@given(SCORES)
def test_a_mean_is_that_of_statistics_with_its_standard_error(scores: list[float]):
    found = mean_of(scores)
    assert found.mean == pytest.approx(mean(scores), abs=1e-9)
    assert found.stderr == pytest.approx(stdev(scores) / sqrt(len(scores)), abs=1e-9)
    assert found.num_scored == len(scores)


def test_a_mean_is_that_of_numpy():
    scores = np.random.default_rng(0).normal(size=1000)
    found = mean_of(scores.tolist())
    assert found.mean == pytest.approx(scores.mean())
    assert found.stderr == pytest.approx(scores.std(ddof=1) / np.sqrt(1000))


@given(PAIRS)
def test_a_ratio_is_sum_over_sum_with_the_linearised_error(pairs: list[tuple[float, int]]):
    totals, weights = np.array(pairs, dtype=np.float64).T
    found = ratio_of(totals.tolist(), weights.tolist())
    ratio = totals.sum() / weights.sum()
    spread = (totals - ratio * weights).std(ddof=1)
    assert found.mean == pytest.approx(ratio)
    assert found.stderr == pytest.approx(spread / sqrt(len(pairs)) / weights.mean(), abs=1e-9)


def test_a_ratio_with_equal_weights_is_a_mean():
    totals = [1.0, 4.0, 2.5]
    assert ratio_of([2 * t for t in totals], [2.0] * 3).mean == mean_of(totals).mean
    assert ratio_of([2 * t for t in totals], [2.0] * 3).stderr == pytest.approx(mean_of(totals).stderr)


def test_a_ratio_that_every_item_has_is_certain():
    assert ratio_of([2, 4, 6], [1, 2, 3]) == Estimate(mean=2.0, stderr=0.0, num_scored=3)


def test_the_standard_error_of_a_ratio_is_near_the_spread_of_repeated_samples():
    draws = np.random.default_rng(1)
    weights = draws.integers(1, 20, size=(2000, 100))
    totals = weights * draws.normal(2.0, 0.5, size=weights.shape)
    found = [ratio_of(t.tolist(), w.tolist()) for t, w in zip(totals[:50], weights[:50], strict=True)]
    spread = (totals.sum(axis=1) / weights.sum(axis=1)).std(ddof=1)
    # 10 %: 50 estimates of the error, each of about 7 % spread, against one from 2000 samples
    assert np.mean([one.stderr for one in found]) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("scores", [[], [1.0]])
def test_fewer_than_two_items_are_refused(scores: list[float]):
    said = f"{len(scores)} items: no spread can be estimated from fewer than 2"
    with pytest.raises(ValueError, match=said):
        mean_of(scores)
    with pytest.raises(ValueError, match=said):
        ratio_of(scores, scores)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0]])
def test_totals_and_weights_of_different_number_are_refused(weights: list[float]):
    with pytest.raises(ValueError, match="zip"):
        ratio_of([1.0, 2.0], weights)
