"""Estimates: measured numbers that carry their uncertainty. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its standard error over `num_scored` items."""

    mean: float
    stderr: float
    num_scored: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} +- {1.96 * self.stderr:.3f} (n={self.num_scored})"


def mean_of(scores: Sequence[float]) -> Estimate:
    """The mean of `scores`, at least two, with its standard error.

    >>> print(mean_of([1, 1, 0, 1]))
    0.750 +- 0.490 (n=4)
    """
    return ratio_of(scores, [1.0] * len(scores))


def ratio_of(totals: Sequence[float], weights: Sequence[float]) -> Estimate:
    """Sum of `totals` over sum of `weights`, with the standard error of that ratio over items.

    Source: the linearised variance of a ratio (Cochran 1977, Sampling Techniques, section 6.4).

    Raises:
        ValueError: fewer than two items, from which no spread can be estimated.
    """
    count = len(totals)
    if count < 2:
        raise ValueError(f"{count} items: no spread can be estimated from fewer than 2")
    ratio = sum(totals) / sum(weights)
    residuals = [total - ratio * weight for total, weight in zip(totals, weights, strict=True)]
    variance = sum(r * r for r in residuals) / (count - 1)
    return Estimate(mean=ratio, stderr=sqrt(variance * count) / sum(weights), num_scored=count)


def wilson(share: Estimate) -> tuple[float, float]:
    """The 95 % interval of a share of yes and no, which is never empty, not even at none or all of them.

    Source: see `statistics.shares`.

    >>> tuple(round(end, 3) for end in wilson(Estimate(mean=0.0, stderr=0.0, num_scored=160)))
    (0.0, 0.023)
    """
    from graftwork.evaluation.statistics import shares  # brings numpy, which an estimate alone does not need

    low, high = shares.wilson(share.mean * share.num_scored, share.num_scored)
    return float(low), float(high)
