"""Drawn data with a known truth, judged as evaluations are; the long form is benchmarks/simulations.py."""

import numpy as np
import pytest

from graftwork.evaluation.comparing import Rules, effective_counts, spread_between
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.measuring import measured
from graftwork.evaluation.sample import sample_of
from graftwork.evaluation.statistics.paired_shares import tango_not_worse

SHARE = Metric(name="exact", unit="share", better="more", about="", is_share=True)
BITS = Metric(name="bits", unit="bits per byte", better="less", about="")
SETS = 2000
GROUPS = [str(i // 4) for i in range(400)]


def shares(flags):
    return sample_of(SHARE, [Score(float(flag)) for flag in flags], GROUPS)


def correlated(generator, truth):
    """A chance for each item, the same within a group of four."""
    return np.repeat(generator.beta(truth * 7 / 3, (1 - truth) * 7 / 3, size=100), 4)


def test_of_grouped_subjects_worse_by_the_margin_at_most_5_5_of_100_are_called_not_worse():
    generator, margin, counts = np.random.default_rng(0), 0.05, []
    for _ in range(SETS):
        differs = generator.random(400) < correlated(generator, 0.2)
        ours = generator.random(400) < correlated(generator, (1 - margin / 0.2) / 2)
        both = generator.random(400) < 0.6
        pair = shares(np.where(differs, ours, both)), shares(np.where(differs, ~ours, both))
        counts.append(effective_counts(*pair, spread_between(*pair), 1.0, 0.95))
    rate = (tango_not_worse(*np.array(counts).T, margin) < Rules().alpha).mean()
    assert 0.01 < rate < 0.04  # 2.5 of 100, and far from 5.5
    ungrouped = np.array(counts) * 400 / np.array(counts)[:, 2:]
    assert (tango_not_worse(*ungrouped.T, margin) < Rules().alpha).mean() > 0.04  # groups do matter


@pytest.mark.parametrize("truth", [0.1, 0.5])
def test_intervals_of_grouped_shares_hold_the_truth(truth):
    generator = np.random.default_rng(1)
    found = [measured(shares(generator.random(400) < correlated(generator, truth))) for _ in range(SETS)]
    assert 0.94 < np.mean([one.low <= truth <= one.high for one in found]) < 0.975


def test_intervals_of_bits_per_byte_hold_the_truth():
    generator, held = np.random.default_rng(2), 0
    for _ in range(SETS):
        sizes = np.round(generator.lognormal(4.5, 0.6, 100)) + 1
        scores = [Score(size * rate, size) for size, rate in zip(sizes, generator.gamma(5, 0.2, 100), strict=True)]
        one = measured(sample_of(BITS, scores, [str(i) for i in range(100)]))
        held += one.low <= 1 <= one.high
    assert 0.935 < held / SETS < 0.965
