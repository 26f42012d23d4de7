"""Times measured in turns: medians and percentiles with bootstrap intervals over turns. Pure.

In each turn every subject is measured once, so what slows the machine down slows all of them, and differences are taken
turn by turn.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3 (percentile intervals).
Departs from it: what is drawn again are turns, not single times, which depend on each other within a turn.
"""

from collections.abc import Callable, Sequence
from random import Random
from statistics import quantiles

from graftwork.evaluation.result import Measured

RESAMPLES = 2000
Turns = Sequence[Sequence[float]]
"""Of each turn what was measured in it, at least once."""


def percentile(times: Sequence[float], share: float) -> float:
    """The value below which `share` of `times` lie, between neighbours in proportion.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([7.0], 0.95)
    (2.5, 7.0)
    """
    if len(times) == 1:
        return times[0]
    return quantiles(times, n=1000, method="inclusive")[round(share * 1000) - 1]


def measured(turns: Turns, share: float = 0.5) -> Measured:
    """The percentile of all times, with its interval over turns; at least two turns."""

    def of(chosen: Sequence[int]) -> float:
        return percentile([time for turn in chosen for time in turns[turn]], share)

    low, high = _interval(of, len(turns))
    return Measured(
        value=of(range(len(turns))),
        low=low,
        high=high,
        num_items=sum(map(len, turns)),
        num_groups=len(turns),
        by=f"percentile bootstrap of {RESAMPLES} over turns",
    )


def difference(turns: Turns, reference: Turns, share: float = 0.5) -> Measured:
    """Subject minus reference, whose turns were taken together; with its interval over turns."""

    def of(chosen: Sequence[int]) -> float:
        own, other = ([time for turn in chosen for time in side[turn]] for side in (turns, reference))
        return percentile(own, share) - percentile(other, share)

    low, high = _interval(of, len(turns))
    return Measured(
        value=of(range(len(turns))),
        low=low,
        high=high,
        num_items=len(turns),
        num_groups=len(turns),
        by=f"percentile bootstrap of {RESAMPLES} over turns that were taken together",
    )


def _interval(of: Callable[[Sequence[int]], float], num_turns: int) -> tuple[float, float]:
    drawn = Random(0)
    values = sorted(of(drawn.choices(range(num_turns), k=num_turns)) for _ in range(RESAMPLES))
    return values[round(0.025 * RESAMPLES)], values[round(0.975 * RESAMPLES) - 1]
