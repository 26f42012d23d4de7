"""Intervals of a share of yes and no, of `asked` items that stand alone. Never empty, not at none and not at all.

Wilson:           (k + z^2/2 +- z sqrt(k (n - k) / n + z^2/4)) / (n + z^2)
Clopper-Pearson:  beta quantiles; never covers less than it says. At 0 of n the upper end is 1 - (alpha/2)^(1/n), the
                  rule of three.

`share` takes Clopper-Pearson where fewer than FEW yes or FEW no were seen, else Wilson. Why: over all shares Wilson
covers what it says on the mean (94.9 to 95.4 % from 20 to 1,000 items; Clopper-Pearson 95.5 to 97.7 %), but of rare
events, as few as it sees, it covers down to 84 %. Together: see `benchmarks/simulations.py`.
Counts may be fractions, as of an effective number of items.

Sources: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953; Clopper and Pearson 1934,
https://doi.org/10.1093/biomet/26.4.404; the comparison: Brown, Cai and DasGupta 2001,
https://doi.org/10.1214/ss/1009213286.
"""

from typing import Any

import numpy as np

from graftwork.evaluation.statistics.distributions import Array, beta_quantile, normal_quantile

FEW = 4
LEAST = 1e-9
"""In place of a shape of 0, which no beta has; what follows from it is not used."""

Ends = tuple[Array, Array]


def wilson(yes: Any, asked: Any, level: float = 0.95) -> Ends:
    """Wilson's interval.

    >>> [round(float(end), 3) for end in wilson(0, 160)]
    [0.0, 0.023]
    """
    k, n = np.asarray(yes, float), np.asarray(asked, float)
    z = normal_quantile((1 + level) / 2)
    middle = (k + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(np.maximum(k * (n - k) / n, 0) + z**2 / 4) / (n + z**2)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def clopper_pearson(yes: Any, asked: Any, level: float = 0.95) -> Ends:
    """The exact interval.

    >>> [round(float(end), 3) for end in clopper_pearson(0, 160)]
    [0.0, 0.023]
    """
    k, n = np.asarray(yes, float), np.asarray(asked, float)
    tail = (1 - level) / 2
    low = np.where(k > 0, beta_quantile(tail, np.maximum(k, LEAST), n - k + 1), 0.0)
    high = np.where(k < n, beta_quantile(1 - tail, k + 1, np.maximum(n - k, LEAST)), 1.0)
    return low, high


def share(yes: Any, asked: Any, level: float = 0.95) -> Ends:
    """Clopper-Pearson's where few yes or few no were seen, else Wilson's."""
    k, n = np.asarray(yes, float), np.asarray(asked, float)
    exact, rounded = clopper_pearson(k, n, level), wilson(k, n, level)
    few = is_few(k, n)
    return np.where(few, exact[0], rounded[0]), np.where(few, exact[1], rounded[1])


def is_few(yes: Any, asked: Any) -> Any:
    """Whether so few yes or no were seen that `share` takes the exact interval."""
    return np.minimum(yes, np.asarray(asked) - yes) < FEW
