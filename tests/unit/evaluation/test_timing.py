"""Times measured in turns: what is slower for all is no difference."""

from random import Random

import numpy as np
import pytest

from graftwork.evaluation.timing import difference, measured, percentile


def test_percentiles_are_those_of_numpy():
    times = [Random(1).random() for _ in range(37)]
    for share in (0.5, 0.95, 0.25):
        assert percentile(times, share) == pytest.approx(np.percentile(times, 100 * share))


def test_an_interval_holds_the_value_and_grows_with_the_spread():
    drawn = Random(2)
    narrow, wide = ([[1 + drawn.gauss(0, s) for _ in range(4)] for _ in range(12)] for s in (0.01, 0.2))
    found = [measured(turns) for turns in (narrow, wide)]
    assert all(one.low <= one.value <= one.high for one in found)
    assert found[1].high - found[1].low > 3 * (found[0].high - found[0].low)
    assert (found[0].num_items, found[0].num_groups) == (48, 12)


def test_what_slows_every_turn_down_for_both_is_no_part_of_the_difference():
    drawn = Random(3)
    load = [drawn.uniform(1, 3) for _ in range(20)]
    base, adapter = [[one] for one in load], [[one + 0.1] for one in load]
    told = difference(adapter, base)
    assert told.value == pytest.approx(0.1)
    assert told.low == pytest.approx(0.1)
    assert told.high == pytest.approx(0.1)


def test_equal_times_differ_by_nothing():
    told = difference([[2.0, 2.0]] * 5, [[2.0, 2.0]] * 5)
    assert (told.low, told.value, told.high) == (0, 0, 0)
