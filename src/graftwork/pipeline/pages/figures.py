"""Shapes of the pictures: the stream of rows, and bars. Numbers in, paths out; pure.

A picture is a column of stretches, one for each step, each 100 wide and 100 high and then drawn as wide and high as the
words beside it need. Widths are in proportion to rows all along; heights say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TRUNK = 68.0
"""Width of all rows together; the rest is room for what leaves."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One step of the stream, as SVG paths.

    Attributes:
        on: what goes on.
        off: what leaves; empty when nothing does.
    """

    on: str
    off: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: how long it is, from 0 to 100, and its share of the sum in words."""

    length: float
    share: str


def stretch(came_in: int, went_on: int, total: int) -> Stretch:
    """A step that `came_in` rows reach and `went_on` leave, of `total` at the beginning.

    >>> stretch(10, 10, 10)
    Stretch(on='M0 0H68V100H0Z', off='')
    """
    wide, rest = _width(came_in, total), _width(went_on, total)
    on = f"M0 0H{rest:g}V100H0Z"
    return Stretch(on, _leaving(rest, wide) if went_on < came_in else "")


def fork(train: int, evaluation: int, total: int) -> tuple[Stretch, float]:
    """The end of the stream: what is trained on goes on, what is held out bends aside; and how wide it all began."""
    began, rest = _width(train + evaluation, total), _width(train, total)
    return Stretch(f"M0 0H{rest:g}V100H0Z", _leaving(rest, began) if evaluation else ""), began


def _width(num: int, total: int) -> float:
    return round(TRUNK * num / total, 3) if total else 0.0


def _leaving(begin: float, end: float) -> str:
    """A ribbon that is `begin` to `end` wide at the top and bends to the right edge, as wide there as at the top."""
    left = 100 - (end - begin)
    return f"M{begin:g} 0C{begin:g} 60 {left:g} 30 {left:g} 88H100C100 30 {end:g} 60 {end:g} 0Z"


def bars(counts: Sequence[int]) -> list[Bar]:
    """A bar for each count, the largest as long as there is room.

    >>> [bar.share for bar in bars([2, 1, 1])]
    ['50.0 %', '25.0 %', '25.0 %']
    """
    most, whole = max(counts, default=0), sum(counts)
    return [Bar(round(100 * count / most, 2) if most else 0.0, share_text(count, whole)) for count in counts]


def share_text(part: int, whole: int) -> str:
    """`part` of `whole` in percent; never 0 % of something that is there, nor 100 % of something that is not all.

    >>> share_text(48, 2299), share_text(1, 1_000_000), share_text(999_999, 1_000_000), share_text(0, 0)
    ('2.1 %', '< 0.1 %', '> 99.9 %', '0 %')
    """
    if not part or not whole:
        return "0 %"
    if part == whole:
        return "100 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    if percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.1f} %"
