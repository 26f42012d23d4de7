"""Bootstrap over groups: for what no formula and no jackknife fits, such as medians and other quantiles.

Groups are drawn with replacement, always as many as there are, from a seed. Two intervals:

percentile:  quantiles of the drawn values; for medians, of which leaving one out says nothing.
BCa:         those quantiles, moved for bias and skew: Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z0 from the share of
             draws below the value, a from the jackknife; for smooth metrics of skewed groups.

For means and ratios see `jackknife`, which covers better with few groups.

Sources: Efron 1987, https://doi.org/10.1080/01621459.1987.10478410; Efron and Tibshirani 1993, chapter 14.
Departs from them: quantiles are taken Student-wide (t of G - 1 in place of z, times sqrt(G / (G - 1))), since the
drawn spread of few groups is too narrow (Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789, section 6).
"""

from collections.abc import Callable

import numpy as np

from graftwork.evaluation.statistics.distributions import Array, normal_cdf, normal_quantile, t_quantile
from graftwork.evaluation.statistics.jackknife import Value

DRAWS = 2000
CELLS = 4_000_000
"""Most entries of a table of drawn groups at once."""


def quantile_interval(
    values: Array, quantile: float, *, seed: int, level: float = 0.95, draws: int = DRAWS
) -> tuple[float, float, float]:
    """That quantile of `values`, at least two, with its percentile interval."""
    x = np.asarray(values, float)
    return _percentile(x, lambda drawn_BN: np.quantile(drawn_BN, quantile, axis=1), seed, level, draws)


def _percentile(
    x: Array, of: Callable[[Array], Array], seed: int, level: float, draws: int
) -> tuple[float, float, float]:
    generator = np.random.default_rng(seed)
    rows = max(1, CELLS // len(x))
    parts = [of(x[generator.integers(len(x), size=(min(rows, draws - at), len(x)))]) for at in range(0, draws, rows)]
    low, high = np.quantile(np.concatenate(parts), _wider(level, len(x)))
    return float(of(x[None])[0]), float(low), float(high)


def bca_interval(
    rows_GK: Array, value: Value, *, seed: int, level: float = 0.95, draws: int = DRAWS
) -> tuple[float, float]:
    """The BCa interval of a smooth metric of the groups' summed rows; at least two groups."""
    at = float(value(rows_GK.sum(0)))
    drawn_B = _drawn(rows_GK, value, seed, draws)
    without_G = value(rows_GK.sum(0) - rows_GK)
    below = ((drawn_B < at).sum() + 0.5 * (drawn_B == at).sum()) / draws
    bias = float(normal_quantile(np.clip(below, 0.5 / draws, 1 - 0.5 / draws)))
    pulls_G = without_G.mean() - without_G
    spread = float((pulls_G**2).sum()) ** 1.5
    skew = float((pulls_G**3).sum()) / (6 * spread) if spread > 0 else 0.0
    z = bias + normal_quantile(_wider(level, len(rows_GK)))
    low, high = np.quantile(drawn_B, normal_cdf(bias + z / (1 - skew * z)))
    return float(low), float(high)


def _drawn(rows_GK: Array, value: Value, seed: int, draws: int) -> Array:
    num_groups = len(rows_GK)
    generator = np.random.default_rng(seed)
    even_G = np.full(num_groups, 1 / num_groups)
    rows = max(1, CELLS // num_groups)
    parts = [
        value(generator.multinomial(num_groups, even_G, size=min(rows, draws - at)).astype(float) @ rows_GK)
        for at in range(0, draws, rows)
    ]
    return np.concatenate(parts)


def _wider(level: float, num: int) -> Array:
    """The two tails of `level`, moved outwards for the narrowness of few."""
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    return normal_cdf(t_quantile(tails, num - 1) * np.sqrt(num / (num - 1)))
