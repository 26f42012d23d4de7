"""Intervals of a mean of scores from 0 to 1, in groups that depend on each other, or few of them.

The spread says how many yes-and-no items that stand alone would be as sure; the exact interval of a share is taken of
that many. So it stays within 0 and 1, is lopsided near them, and is never empty: where all groups are equal, and no
spread can be seen, each group counts as one item.

    n_effective = r (1 - r) / stderr^2 (t_quantile(n - 1) / t_quantile(freedom))^2

Source: Korn and Graubard 1998, https://www150.statcan.gc.ca/n1/en/catalogue/12-001-X19980024356 (for surveys).
Departs from it: of shares of yes and no n_effective is never more than the items; of other scores it may be, since
they spread less. The spread is the jackknife's and its freedom Kish's, so unequal groups are told as such.
"""

from graftwork.evaluation.statistics.distributions import t_quantile
from graftwork.evaluation.statistics.jackknife import Spread
from graftwork.evaluation.statistics.shares import clopper_pearson


def bounded(
    spread: Spread, *, num_items: int, num_groups: int, is_share: bool, level: float = 0.95
) -> tuple[float, float]:
    """The interval of a mean whose every score is from 0 to 1."""
    r = min(max(spread.value, 0.0), 1.0)
    if not spread.is_seen or r in (0.0, 1.0):
        return _of_equal_groups(r, num_groups, level)
    alone = r * (1 - r) / spread.stderr**2
    if is_share:
        alone = min(alone, num_items)
    effective = max(1.0, alone * penalty(num_items, spread.freedom, level))
    low, high = clopper_pearson(r * effective, effective, level)
    return float(low), float(high)


def penalty(num_items: int, freedom: float, level: float = 0.95) -> float:
    """What a spread that is told from few groups is worth of one that is told from all items; 0 to 1.

    >>> penalty(100, 99.0)
    1.0
    """
    tail = (1 + level) / 2
    of_few = float(t_quantile(tail, max(freedom, 0.1)))
    return min(1.0, (float(t_quantile(tail, max(num_items - 1, 1))) / of_few) ** 2)


def _of_equal_groups(value: float, num_groups: int, level: float) -> tuple[float, float]:
    """All groups gave `value`: others are at most as many as an exact interval of none has, and could be anything."""
    others = float(clopper_pearson(0, num_groups, level)[1])
    return value * (1 - others), value + (1 - value) * others
