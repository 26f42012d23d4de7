"""Samples: one metric's scores of one subject, laid out for statistics.

Suffixes: N items, G groups, K sums that the metric takes: its total and weight, or the counts of a metric that is of
all items together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Score
from graftwork.evaluation.result import NO_INTERVAL
from graftwork.evaluation.statistics.distributions import Array
from graftwork.evaluation.statistics.jackknife import FEWEST_GROUPS, Spread, Value, ratio


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """Scores of items, in order, and which of them depend on each other.

    Attributes:
        groups_N: number of each item's group, from 0.
        weights_N: how much of the whole each item is.
        own_N: each item's score by itself.
    """

    rows_NK: Array
    groups_N: NDArray[np.int64]
    weights_N: Array
    own_N: Array
    value: Value
    is_share: bool
    is_within_one: bool

    @property
    def num_items(self) -> int:
        """All that were scored."""
        return len(self.rows_NK)

    @property
    def num_groups(self) -> int:
        """Groups of them."""
        return int(self.groups_N.max()) + 1

    @property
    def is_of_lone_shares(self) -> bool:
        """Yes and no of items that stand alone, for which exact methods hold."""
        return self.is_share and self.num_groups == self.num_items

    @property
    def is_mean(self) -> bool:
        """The whole is the weighted mean of the items' own scores; not so of a metric of all items together."""
        return self.value is ratio

    @property
    def is_of_amounts(self) -> bool:
        """A ratio of what is never negative."""
        return self.is_mean and bool((self.rows_NK >= 0).all())

    def rows_GK(self) -> Array:
        """Sums of each group."""
        sums_GK = np.zeros((self.num_groups, self.rows_NK.shape[1]))
        np.add.at(sums_GK, self.groups_N, self.rows_NK)
        return sums_GK

    def weights_G(self) -> Array:
        """How much of the whole each group is."""
        return np.bincount(self.groups_N, self.weights_N, self.num_groups).astype(np.float64)


def sample_of(metric: Metric, scores: Sequence[Score], groups: Sequence[str]) -> Sample:
    """The scores of items, at least one of a weight above 0, with the name of each one's group."""
    totals_N = np.array([score.total for score in scores], float)
    weights_N = np.array([score.weight for score in scores], float)
    numbers: Mapping[str, int] = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    combined = metric.combined
    return Sample(
        rows_NK=np.stack([totals_N, weights_N], 1) if combined is None else np.array([s.counts for s in scores], float),
        groups_N=np.array([numbers[group] for group in groups], np.int64),
        weights_N=weights_N if combined is None else np.ones_like(weights_N),
        own_N=np.divide(totals_N, weights_N, out=np.zeros_like(totals_N), where=weights_N > 0),
        value=ratio if combined is None else cast(Value, combined),
        is_share=metric.is_share,
        is_within_one=metric.is_share or metric.is_within_one,
    )


def why_no_interval(sample: Sample, spread: Spread) -> str:
    """Why there is none, where `spread` tells none.

    >>> from graftwork.evaluation.dimension import Metric
    >>> bits = Metric(name="bits", unit="bits", better="less", about="")
    >>> two = sample_of(bits, [Score(1.0), Score(2.0)], ["a", "b"])
    >>> why_no_interval(two, Spread(value=1.5, stderr=0.5, freedom=1.0))
    'no interval: 2 items'
    """
    num = sample.num_groups
    if num < FEWEST_GROUPS:
        called = "item" if num == sample.num_items else "group"
        return f"{NO_INTERVAL}{num} {called}{'' if num == 1 else 's'}"
    return f"{NO_INTERVAL}{'nearly all is in a few groups' if spread.is_seen else 'all groups are equal'}"
