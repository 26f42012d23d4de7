"""Two subjects' yes and no on the same items: McNemar's test and Tango's score interval.

Of n items the subject alone got `better` right and the reference alone `worse`; their difference is
d = (better - worse) / n. For a true difference d0 Tango's statistic is

    z(d0) = (better - worse - n d0) / sqrt(n (2 q + d0 (1 - d0)))
    q     = (sqrt(B^2 - 8 n C) - B) / (4 n),  B = -better - worse + (2n - better + worse) d0,  C = -worse d0 (1 - d0)

where q is the likeliest share of `worse` given d0. The interval holds every d0 with |z| below the normal quantile;
"not worse by a margin" is tested by z at d0 = -margin. Both behave where no item differs. Counts may be fractions.

Sources: McNemar's exact test: Mosteller 1952, https://doi.org/10.2307/3001849; mid-p, which is less careful and has
more power: Fagerland, Lydersen and Laake 2013, https://doi.org/10.1186/1471-2288-13-91; interval: Tango 1998,
https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C891::AID-SIM780%3E3.0.CO;2-B.
"""

from typing import Any

import numpy as np

from graftwork.evaluation.statistics.distributions import Array, half_binomial_cdf, normal_cdf, normal_quantile

HALVINGS = 45


def mcnemar(better: int, worse: int, *, mid: bool = False) -> float:
    """Chance of a split of the items that differ as uneven or more, if each were a coin's throw.

    >>> mcnemar(0, 6), mcnemar(0, 6, mid=True), mcnemar(0, 0)
    (0.03125, 0.015625, 1.0)
    """
    differ, fewer = better + worse, min(better, worse)
    if better == worse:
        return 1.0
    at_most = float(half_binomial_cdf(fewer, differ))
    if not mid:
        return min(1.0, 2 * at_most)
    fewer_still = float(half_binomial_cdf(fewer - 1, differ)) if fewer else 0.0
    return min(1.0, at_most + fewer_still)


def tango_z(better: Any, worse: Any, asked: Any, difference: Any) -> Array:
    """Tango's statistic for a true difference above -1 and below 1; positive where the data lie above it."""
    b, c, n, d0 = (np.asarray(x, float) for x in (better, worse, asked, difference))
    at_b = -b - c + (2 * n - b + c) * d0
    at_c = -c * d0 * (1 - d0)
    q = (np.sqrt(np.maximum(at_b**2 - 8 * n * at_c, 0)) - at_b) / (4 * n)
    variance = n * (2 * np.maximum(q, 0) + d0 * (1 - d0))
    apart = b - c - n * d0
    with np.errstate(divide="ignore", invalid="ignore"):
        z = apart / np.sqrt(np.maximum(variance, 0))
    return np.where(np.abs(apart) < 1e-12, 0.0, z)


def tango(better: Any, worse: Any, asked: Any, level: Any = 0.95) -> tuple[Array, Array]:
    """Tango's interval of the difference, of numbers or of arrays that go together.

    >>> [round(float(end), 3) for end in tango(1, 7, 21)]
    [-0.517, -0.026]
    """
    z = normal_quantile((1 + np.asarray(level, float)) / 2)
    b, c, n, z = np.broadcast_arrays(*(np.asarray(x, float) for x in (better, worse, asked)), z)
    at = (b - c) / n
    end_2 = _crossing(
        b, c, n, np.stack([z, -z]), np.stack([np.full_like(at, -1), at]), np.stack([at, np.ones_like(at)])
    )
    return end_2[0], end_2[1]


def tango_not_worse(better: Any, worse: Any, asked: Any, margin: Any) -> Array:
    """Chance of data as good or better if the subject were worse by `margin`."""
    return 1 - normal_cdf(tango_z(better, worse, asked, -np.asarray(margin, float)))


def _crossing(b: Array, c: Array, n: Array, z: Array, low: Array, high: Array) -> Array:
    """The difference from `low` to `high` at which the statistic, which falls there, is `z`; by halving."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = tango_z(b, c, n, middle) > z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2
