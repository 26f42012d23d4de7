"""Dots with whiskers on a common scale: estimates with their intervals, as fractions of a plane. Numbers in, pure.

0 is left and 1 is right, so that a page can draw them as wide as it likes; words are never part of the picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from graftwork.pipeline.pages.charts import ticks

MOST_TICKS = 5
"""On a scale; more would stand on one another on a phone."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of numbers that is drawn.

    Attributes:
        ticks: round numbers, the first and the last of which are its ends.
        is_flipped: larger numbers lie further left.
    """

    ticks: tuple[float, ...]
    is_flipped: bool = False

    def at(self, value: float) -> float:
        """Where `value` lies; what is beyond the ends lies at them.

        >>> Scale((0.0, 0.5, 1.0)).at(0.25), Scale((0.0, 1.0)).at(7), Scale((0.0, 4.0), is_flipped=True).at(1)
        (0.25, 1.0, 0.75)
        """
        low, high = self.ticks[0], self.ticks[-1]
        at = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(1 - at if self.is_flipped else at, 4)


@dataclass(frozen=True, slots=True)
class Whisker:
    """An estimate with its interval, placed: its ends and itself, None where there is no interval."""

    at: float
    low: float | None
    high: float | None


def scale_of(values: Iterable[float | None], *, is_flipped: bool = False) -> Scale:
    """A scale on which all `values` can be seen.

    >>> scale_of([0.62, None, 0.97]).ticks
    (0.6, 0.7, 0.8, 0.9, 1.0)
    """
    shown = [value for value in values if value is not None] or [0.0]
    return Scale(tuple(ticks(min(shown), max(shown), most=MOST_TICKS)), is_flipped)


SHARES = Scale((0.0, 0.25, 0.5, 0.75, 1.0))
"""Every share lies on it."""


def whisker(scale: Scale, value: float, low: float | None, high: float | None) -> Whisker:
    """`value` and its interval on `scale`."""
    return Whisker(
        at=scale.at(value),
        low=None if low is None else scale.at(low),
        high=None if high is None else scale.at(high),
    )
