"""Charts: lines over the steps of a training, as fractions of a plane, with ticks at round numbers. Numbers in, pure.

x goes from 0 (left) to 1, y from 0 (top) to 1: a page can stretch a chart, and a picture can draw it at any size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor, log10
from typing import Literal

from graftwork.pipeline.pages.words import Both

Sort = Literal["raw", "train", "held", "base"]
Points = Sequence[tuple[float, float]]

MOST_POINTS = 400
"""Points of a drawn line: more than a screen of a phone can tell apart, and a page stays light after any training."""
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
WIDE = 100.0
"""Values whose largest is more than this times the smallest are drawn on a logarithmic scale where that is allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line.

    Attributes:
        points: step and value, in the order of the steps.
    """

    name: Both
    sort: Sort
    points: Points


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart, ready to be drawn.

    Attributes:
        lines: their points as fractions.
        ticks_x: fraction and words.
    """

    name: Both
    unit: Both
    lines: tuple[Line, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]


def chart(name: Both, unit: Both, lines: Iterable[Line], *, num_steps: int, may_be_log: bool = False) -> Chart:
    """`lines`, at least one with a point, on one plane from step 0 to `num_steps`."""
    drawn = [line for line in lines if line.points]
    values = [value for line in drawn for _, value in line.points]
    is_log = may_be_log and min(values) > 0 and max(values) > WIDE * min(values)
    told = _powers(min(values), max(values)) if is_log else ticks(min(values), max(values))
    low, high = _at(told[0], is_log=is_log), _at(told[-1], is_log=is_log)

    def across(step: float) -> float:
        return round(step / num_steps, 4)

    def down(value: float) -> float:
        return round(1 - (_at(value, is_log=is_log) - low) / (high - low), 4)

    placed = (
        Line(name=line.name, sort=line.sort, points=[(across(s), down(v)) for s, v in thinned(line.points)])
        for line in drawn
    )
    steps = [step for step in ticks(0, num_steps, most=8) if step <= num_steps and step.is_integer()]
    return Chart(
        name=name,
        unit=unit,
        lines=tuple(placed),
        ticks_x=tuple((across(step), f"{int(step):,}") for step in steps),
        ticks_y=tuple((down(value), number_text(value)) for value in told),
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, at most `most`, the first at or below `low` and the last at or above `high`.

    >>> ticks(0.13, 0.48), ticks(0, 90), ticks(2, 2)
    ([0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [1.5, 1.75, 2.0, 2.25, 2.5])
    """
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):  # a flat line lies in the middle
        half = abs(low) / 4 or 1.0
        low, high = low - half, high + half
    power = 10.0 ** floor(log10((high - low) / most))
    for factor in (factor * ten for ten in (1, 10) for factor in ROUND):
        gap = factor * power
        first, last = floor(low / gap + 1e-9), ceil(high / gap - 1e-9)
        if last - first < most:
            break
    return [float(f"{number * gap:.10g}") for number in range(first, last + 1)]


def smoothed(points: Points, *, around: int) -> list[tuple[float, float]]:
    """The mean of each point and up to `around` before and after it, as many on both sides: so it does not lag behind.

    >>> smoothed([(1, 4.0), (2, 2.0), (3, 3.0), (4, 7.0)], around=1)
    [(1, 4.0), (2, 3.0), (3, 4.0), (4, 7.0)]
    """
    sums = [0.0, *accumulate(value for _, value in points)]
    told = []
    for i, (step, _) in enumerate(points):
        beside = min(around, i, len(points) - 1 - i)
        told.append((step, (sums[i + beside + 1] - sums[i - beside]) / (2 * beside + 1)))
    return told


def thinned(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most about `most` of them: of each stretch its lowest and its highest, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    size = ceil(len(points) / (most // 2))
    kept: list[tuple[float, float]] = [points[0]]
    for at in range(0, len(points), size):
        stretch = points[at : at + size]
        both = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(both - {points[0]})
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def path_of(points: Points) -> str:
    """A line through `points`, as an SVG path.

    >>> path_of([(0.0, 1.0), (0.5, 0.25)])
    'M0 1L0.5 0.25'
    """
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def number_text(value: float) -> str:
    """A tick's number, short.

    >>> number_text(0.0002), number_text(1.5), number_text(20000.0), number_text(0)
    ('2e-4', '1.5', '20,000', '0')
    """
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:,.6g}"


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten around, or every second or third of them when there are many."""
    first, last = floor(log10(low)), ceil(log10(high))
    every = ceil((last - first) / 6)
    return [10.0**power for power in range(first, last + every, every)]


def _at(value: float, *, is_log: bool) -> float:
    return log10(value) if is_log else value
