"""Distributions: their tails and quantiles, the only place that asks scipy for them.

Each takes numbers or arrays alike. scipy is imported where it is used: it takes a while to load, and no spec needs it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normal_cdf(x: Any) -> Array:
    """Chance that a standard normal is at most `x`."""
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def normal_quantile(p: Any) -> Array:
    """What a standard normal is at most with the chance `p`."""
    from scipy.special import ndtri

    return np.asarray(ndtri(p))


def t_cdf(x: Any, freedom: Any) -> Array:
    """Chance that Student's t of so many degrees of freedom, a fraction too, is at most `x`."""
    from scipy.special import stdtr

    return np.asarray(stdtr(freedom, x))


def t_quantile(p: Any, freedom: Any) -> Array:
    """What Student's t is at most with the chance `p`."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, p))


def beta_quantile(p: Any, a: Any, b: Any) -> Array:
    """What a beta of shapes `a` and `b`, both above 0, is at most with the chance `p`."""
    from scipy.special import betaincinv

    return np.asarray(betaincinv(a, b, p))


def half_binomial_cdf(count: Any, tries: Any) -> Array:
    """Chance of at most `count` heads in so many throws of a fair coin."""
    from scipy.special import bdtr

    return np.asarray(bdtr(count, tries, 0.5))
