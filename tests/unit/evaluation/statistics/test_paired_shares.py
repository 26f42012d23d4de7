"""McNemar and Tango: published examples, parity, and how often a worse subject passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as theirs_mcnemar

from graftwork.evaluation.statistics.paired_shares import mcnemar, tango, tango_not_worse, tango_z

SPLITS = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 500)).filter(lambda s: sum(s) > 1)


@given(SPLITS)
def test_mcnemar_is_that_of_statsmodels(split):
    better, worse, same = split
    theirs = theirs_mcnemar([[same, better], [worse, 0]], exact=True)
    assert mcnemar(better, worse) == pytest.approx(theirs.pvalue)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mid_p_counts_the_observed_split_by_half(better, worse):
    differ, fewer = better + worse, min(better, worse)
    expected = 1.0 if better == worse else 2 * binom.cdf(fewer, differ, 0.5) - binom.pmf(fewer, differ, 0.5)
    assert mcnemar(better, worse, mid=True) == pytest.approx(expected)


# Fagerland, Lydersen and Laake 2017, Statistical Analysis of Contingency Tables, chapter 8: Bentur et al. 2009 (21
# pairs) and Cavo et al. 2012 (161 pairs), as its R package contingencytables prints them
@pytest.mark.parametrize(
    ("better", "worse", "asked", "ends", "exact", "mid"),
    [(1, 7, 21, (-0.517, -0.026), 0.0703, 0.0391), (6, 16, 161, (-0.1240, -0.0054), 0.052479, 0.034690)],
)
def test_published_examples_come_out(better, worse, asked, ends, exact, mid):
    digits = 4 if asked == 161 else 3
    assert tuple(round(float(end), digits) for end in tango(better, worse, asked)) == ends
    assert mcnemar(better, worse) == pytest.approx(exact, abs=5e-5)
    assert mcnemar(better, worse, mid=True) == pytest.approx(mid, abs=5e-5)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 100), st.floats(-0.9, 0.9))
def test_the_statistic_has_the_likeliest_share_given_the_difference(better, worse, same, difference):
    """Beside a likelihood that is maximised by searching."""
    num = better + worse + same

    def minus_log(q):
        cells = np.array([q + difference, q, 1 - 2 * q - difference])
        return -sum(k * np.log(max(p, 1e-300)) for k, p in zip((better, worse, same), cells, strict=True) if k)

    lowest, highest = max(0.0, -difference), (1 - difference) / 2
    best = minimize_scalar(minus_log, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
    variance = num * (2 * best + difference - difference**2)
    if variance > 1e-3 * num:
        expected = (better - worse - num * difference) / np.sqrt(variance)
        assert float(tango_z(better, worse, num, difference)) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(SPLITS)
def test_the_ends_are_where_the_statistic_is_the_normal_quantile(split):
    better, worse, _ = split
    num = sum(split)
    low, high = map(float, tango(better, worse, num))
    at = (better - worse) / num
    assert -1 <= low <= at <= high <= 1
    assert high - low > 1 / (num + 4)  # never empty
    if low > -0.999 and low < at:
        root = brentq(lambda d: float(tango_z(better, worse, num, d)) - 1.959964, -0.9999, at)
        assert low == pytest.approx(root, abs=1e-5)


@given(SPLITS)
def test_better_and_worse_may_change_places(split):
    better, worse, _ = split
    low, high = tango(better, worse, sum(split))
    mirrored = tango(worse, better, sum(split))
    assert (-float(mirrored[1]), -float(mirrored[0])) == pytest.approx((float(low), float(high)), abs=1e-9)


@given(SPLITS, st.floats(0.001, 0.3))
def test_not_worse_is_shown_where_the_one_sided_bound_is_above_the_margin(split, margin):
    better, worse, _ = split
    chance = float(tango_not_worse(better, worse, sum(split), margin))
    bound = float(tango(better, worse, sum(split), 0.9)[0])
    if abs(chance - 0.05) > 1e-6:
        assert (chance < 0.05) == (bound > -margin)


@pytest.mark.parametrize(("num", "differing", "margin"), [(100, 0.1, 0.05), (300, 0.1, 0.02), (1000, 0.3, 0.01)])
def test_of_subjects_worse_by_the_margin_at_most_5_5_of_100_pass(num, differing, margin):
    """2,000 sets in each setting and more: 20,000, so that a lucky draw proves nothing."""
    generator = np.random.default_rng(1)
    shares = [(differing - margin) / 2, (differing + margin) / 2, 1 - differing]
    drawn = generator.multinomial(num, shares, size=20_000)
    rate = (tango_not_worse(drawn[:, 0], drawn[:, 1], num, margin) < 0.05).mean()
    assert 0.03 < rate <= 0.055
