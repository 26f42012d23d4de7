"""Jackknife, effective numbers, bootstrap and swap test: naive forms beside ours, and edges."""

from itertools import product
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_1samp
from statsmodels.stats.multitest import multipletests

from graftwork.evaluation.statistics.bootstrap import bca_interval, quantile_interval
from graftwork.evaluation.statistics.bounded import bounded
from graftwork.evaluation.statistics.holm import holm
from graftwork.evaluation.statistics.jackknife import jackknifed, log_interval, ratio
from graftwork.evaluation.statistics.paired_shares import mcnemar, tango_not_worse
from graftwork.evaluation.statistics.power import needed_items, smallest_shown
from graftwork.evaluation.statistics.swaps import swap_test

FLOATS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=3, max_size=30)


def rows(scores):
    return np.stack([np.array(scores, float), np.ones(len(scores))], 1)


@given(FLOATS)
def test_of_a_mean_the_jackknife_is_the_usual_standard_error(scores):
    found = jackknifed(rows(scores), ratio, np.ones(len(scores)))
    assert found.value == pytest.approx(mean(scores), abs=1e-9)
    assert found.stderr == pytest.approx(stdev(scores) / len(scores) ** 0.5, abs=1e-6)
    assert found.freedom == pytest.approx(len(scores) - 1)


@given(FLOATS.filter(lambda x: stdev(x) > 0.01))
def test_of_a_mean_the_interval_is_that_of_a_t_test(scores):
    low, high = jackknifed(rows(scores), ratio, np.ones(len(scores))).interval()
    theirs = ttest_1samp(scores, 0).confidence_interval()
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_a_ratio_is_jackknifed_group_by_group():
    both = np.array([[3.0, 10.0], [8.0, 12.0], [1.0, 7.0], [9.0, 9.0]])
    without = [float(np.delete(both, g, 0)[:, 0].sum() / np.delete(both, g, 0)[:, 1].sum()) for g in range(4)]
    found = jackknifed(both, ratio, both[:, 1])
    assert found.stderr == pytest.approx((3 / 4 * sum((x - mean(without)) ** 2 for x in without)) ** 0.5)
    assert found.freedom == pytest.approx(38**2 / (100 + 144 + 49 + 81) - 1)


def test_one_large_group_among_small_ones_leaves_few_degrees_of_freedom():
    sizes = np.array([1000.0, 1, 1, 1, 1])
    assert jackknifed(np.stack([sizes, sizes], 1), ratio, sizes).freedom < 0.01


def test_equal_groups_have_no_spread_and_one_group_none_that_can_be_told():
    assert not jackknifed(np.full((7, 2), 0.1), ratio, np.ones(7)).is_told
    assert np.isnan(jackknifed(np.ones((1, 2)), ratio, np.ones(1)).stderr)


def test_the_interval_of_amounts_is_lopsided_and_stays_above_zero():
    both = np.stack([np.array([0.01, 0.02, 0.3, 5.0]), np.ones(4)], 1)
    low, high = log_interval(both, np.ones(4))
    assert low > 0
    assert high - both[:, 0].mean() > both[:, 0].mean() - low
    assert log_interval(np.array([[0.0, 1], [0, 1], [0, 1], [2, 1]]), np.ones(4)) is None


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=3, unique=True), st.floats(0.1, 50))
def test_nothing_is_told_of_fewer_than_four_groups_of_whatever_size(scores, size):
    sizes = np.array([size, *np.linspace(1, 2, len(scores) - 1)])
    found = jackknifed(np.stack([np.array(scores), sizes], 1), ratio, sizes)
    assert not found.is_told
    assert log_interval(np.stack([np.array(scores), sizes], 1), sizes) is None


def test_from_four_equal_groups_on_something_is_told():
    assert jackknifed(rows([1, 2, 3, 5]), ratio, np.ones(4)).is_told


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_groups", [1, 2, 40])
def test_groups_that_are_all_equal_count_as_one_item_each(value, num_groups):
    spread = jackknifed(np.array([[value * 10, 10.0]] * num_groups), ratio, np.ones(num_groups))
    low, high = bounded(spread, num_items=10 * num_groups, num_groups=num_groups, is_share=True)
    others = 1 - 0.025 ** (1 / num_groups)  # at most as many as none of the groups has shown
    assert (low, high) == pytest.approx((value * (1 - others), value + (1 - value) * others))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda x: sum(x)), min_size=1, max_size=30))
def test_a_share_of_groups_never_leaves_zero_to_one_and_is_never_empty(yes_no):
    both = np.array([(yes, yes + no) for yes, no in yes_no], float)
    spread = jackknifed(both, ratio, both[:, 1])
    low, high = bounded(spread, num_items=int(both[:, 1].sum()), num_groups=len(both), is_share=True)
    assert 0 <= low <= spread.value + 1e-9
    assert spread.value - 1e-9 <= high <= 1
    assert high > low


def test_copies_of_items_in_a_group_add_no_certainty():
    yes = np.array([1.0, 0, 1, 1, 0, 1, 0, 1])
    widths = []
    for copies in (1, 50):
        both = np.stack([yes * copies, np.full(8, float(copies))], 1)
        low, high = bounded(jackknifed(both, ratio, np.ones(8)), num_items=8 * copies, num_groups=8, is_share=True)
        widths.append(high - low)
    assert widths[1] >= widths[0] - 1e-9


def naive_swaps(ours, theirs, value):
    at = abs(float(value(ours.sum(0)) - value(theirs.sum(0))))
    hits = []
    for signs in product((False, True), repeat=len(ours)):
        swap = np.array(signs)[:, None]
        first, second = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
        hits.append(abs(float(value(first.sum(0)) - value(second.sum(0)))) >= at - 1e-12)
    return mean(hits)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=8))
def test_few_groups_are_swapped_in_all_ways(pairs):
    ours, theirs = (np.array([(pair[i], 10.0 + pair[i] % 3) for pair in pairs]) for i in (0, 1))
    assert swap_test(ours, theirs, ratio, seed=0) == pytest.approx(naive_swaps(ours, theirs, ratio))


@given(st.integers(0, 6), st.integers(0, 6))
def test_of_lone_yes_and_no_it_is_mcnemars_exact_test(better, worse):
    ours, theirs = rows([1] * better + [0] * worse + [1] * 5), rows([0] * better + [1] * worse + [1] * 5)
    assert swap_test(ours, theirs, ratio, seed=0) == pytest.approx(mcnemar(better, worse))


def test_many_groups_are_drawn_by_the_seed_and_no_chance_is_zero():
    ours, theirs = rows(np.linspace(1, 2, 40)), rows(np.linspace(0, 1, 40))
    assert swap_test(ours, theirs, ratio, seed=0) == pytest.approx(1e-4)
    close = rows(np.linspace(0, 1, 40) + np.sin(np.arange(40)) / 10)
    first = swap_test(close, theirs, ratio, seed=1)
    assert first == swap_test(close, theirs, ratio, seed=1)
    assert first == pytest.approx(swap_test(close, theirs, ratio, seed=2), abs=0.03)
    assert swap_test(theirs, theirs, ratio, seed=0) == 1


def test_drawn_swaps_agree_with_all_swaps():
    generator = np.random.default_rng(3)
    ours, theirs = rows(generator.normal(0.4, 1, 14)), rows(generator.normal(0, 1, 14))
    assert swap_test(ours, theirs, ratio, seed=5) == pytest.approx(naive_swaps(ours, theirs, ratio), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_that_of_statsmodels(seed):
    chances = np.random.default_rng(seed).uniform(0, 0.2, 5 * seed + 1).tolist()
    assert holm(chances) == pytest.approx(multipletests(chances, method="holm")[1].tolist())


def test_bca_is_near_that_of_scipy():
    scores = np.random.default_rng(0).exponential(size=200)
    ours = bca_interval(rows(scores), ratio, seed=0, draws=4000)
    theirs = bootstrap((scores,), np.mean, n_resamples=4000, method="BCa", rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_a_median_has_an_interval_by_the_seed():
    value, low, high = quantile_interval(np.arange(101.0), 0.5, seed=3)
    assert value == 50
    assert 36 < low < 46
    assert 54 < high < 64
    assert (value, low, high) == quantile_interval(np.arange(101.0), 0.5, seed=3)


def test_with_the_needed_items_four_of_five_equals_are_shown_not_worse():
    differing, margin = 0.1, 0.02
    num = needed_items((differing / 500) ** 0.5, 500, margin)
    drawn = np.random.default_rng(0).multinomial(num, [differing / 2] * 2 + [1 - differing], size=4000)
    assert (tango_not_worse(drawn[:, 0], drawn[:, 1], num, margin) < 0.025).mean() == pytest.approx(0.8, abs=0.03)


def test_the_smallest_shown_difference_is_shown_four_times_of_five():
    stderr = (0.2 / 1000) ** 0.5
    d = smallest_shown(stderr)
    drawn = np.random.default_rng(0).multinomial(1000, [(0.2 + d) / 2, (0.2 - d) / 2, 0.8], size=1000)
    assert np.mean([mcnemar(b, c) < 0.05 for b, c, _ in drawn.tolist()]) == pytest.approx(0.8, abs=0.05)
