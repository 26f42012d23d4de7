"""Shares: parity with scipy and statsmodels, and what no interval may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from graftwork.evaluation.statistics.shares import FEW, clopper_pearson, is_few, share, wilson

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_is_that_of_scipy(counts, level):
    theirs = binomtest(*counts).proportion_ci(level, method="exact")
    assert [float(end) for end in clopper_pearson(*counts, level)] == pytest.approx(list(theirs), abs=1e-9)


@given(COUNTS)
def test_wilson_is_that_of_statsmodels(counts):
    theirs = proportion_confint(*counts, alpha=0.05, method="wilson")
    assert [float(end) for end in wilson(*counts)] == pytest.approx(list(theirs), abs=1e-9)


@given(COUNTS)
def test_no_interval_is_empty_or_leaves_zero_to_one(counts):
    low, high = map(float, share(*counts))
    assert 0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1
    assert high - low > 0.5 / (counts[1] + 4)


@pytest.mark.parametrize("num", [10, 100, 1000, 100_000])
def test_none_seen_is_not_none_the_rule_of_three_falls_out(num):
    low, high = clopper_pearson(0, num, 0.9)  # one-sided 95 %
    assert low == 0
    assert float(high) == pytest.approx(1 - 0.05 ** (1 / num))
    assert float(high) == pytest.approx(3 / num, rel=0.15)


@given(COUNTS)
def test_yes_and_no_may_change_places(counts):
    yes, asked = counts
    low, high = share(yes, asked)
    of_no = share(asked - yes, asked)
    assert (1 - float(of_no[1]), 1 - float(of_no[0])) == pytest.approx((float(low), float(high)), abs=1e-9)


@given(st.integers(0, 50), st.integers(51, 200))
def test_the_exact_interval_is_taken_where_few_were_seen(yes, asked):
    exact = is_few(yes, asked)
    assert exact == (min(yes, asked - yes) < FEW)
    assert share(yes, asked) == (clopper_pearson if exact else wilson)(yes, asked)


@pytest.mark.parametrize("num", [20, 50, 200, 1000])
def test_over_all_shares_95_percent_intervals_hold_the_truth_94_to_96_times_of_100(num):
    """Summed over all counts, not drawn."""
    truths, k = np.linspace(0.02, 0.98, 193), np.arange(num + 1.0)
    low, high = share(k, num)
    holds = (binom.pmf(k[:, None], num, truths) * ((low[:, None] <= truths) & (truths <= high[:, None]))).sum(0)
    assert 0.94 < holds.mean() < 0.96
    assert holds.min() > 0.92
