"""Holding the largest singular value of each low-rank factor at or below a cap.

A factor with R rows or columns has the singular values of its R x R Gram matrix, which is small: no decomposition of
the
factor itself is needed. Scaling the whole factor down keeps its directions.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def largest_singular_value(factor: Tensor) -> float:
    """Of a matrix, through its smaller Gram matrix, in float64."""
    wide = factor.detach().double()
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    return float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt())


def hold_below(factors: Iterable[Tensor], cap: float) -> float:
    """Scale down, in place, each matrix whose largest singular value is above `cap`.

    Returns:
        The largest singular value before, over all matrices; 0 when there are none.
    """
    largest = 0.0
    with torch.no_grad():
        for factor in factors:
            if factor.ndim == 2:
                sigma = largest_singular_value(factor)
                largest = max(largest, sigma)
                if sigma > cap:
                    factor.mul_(cap / sigma)
    return largest
