"""Measured numbers as people read them: rounded to what their interval tells, the exact value kept beside. Pure."""

from dataclasses import dataclass, replace
from math import floor, log10

from graftwork.core.units import bytes_text
from graftwork.evaluation.result import Comparison, Measured, MetricResult
from graftwork.evaluation.statistics.jackknife import FEWEST_GROUPS
from graftwork.pipeline.pages.words import Both, label

MOST_DECIMALS = 6
SIGNIFICANT = 4
"""Figures of a number that has no interval."""
NARROW = "\u2009"
"""Space between a number and its sign of percent or its unit; no line breaks there in the cells where it stands."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is shown, and as it was measured."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An estimate as it is shown: itself, and the ends of its interval, None where there is none.

    Attributes:
        why: why there is no interval, where there are too few items; else None.
    """

    number: Number
    low: Number | None
    high: Number | None
    why: Both | None = None


def measured_shown(metric: MetricResult, measured: Measured) -> Shown:
    """A metric's value."""
    shown = _shown(metric, measured.value, measured.low, measured.high, is_signed=False)
    is_few = bool(measured.why_none) and measured.num_groups < FEWEST_GROUPS
    return replace(shown, why=_too_few(measured)) if is_few else shown


def difference_shown(metric: MetricResult, comparison: Comparison) -> Shown:
    """How far two subjects are apart in a metric."""
    return _shown(metric, comparison.difference, comparison.low, comparison.high, is_signed=True)


def margin_shown(metric: MetricResult, margin: float) -> Number:
    """A margin, in the words of the metric's differences."""
    if metric.unit == "bytes":
        return Number(margin, bytes_text(margin))
    return Number(margin, f"{100 * margin if is_share(metric) else margin:.{SIGNIFICANT}g}")


def is_share(metric: MetricResult) -> bool:
    """Whether the metric's numbers lie between 0 and 1 and are read in percent."""
    return metric.is_share or metric.unit.startswith("share")


def fixed(value: float, decimals: int, *, is_signed: bool = False) -> str:
    """`value` with so many decimals, thousands apart, a real minus, and no sign before a zero.

    >>> fixed(-0.04, 1), fixed(-12.34, 1), fixed(1234.5, 1, is_signed=True)
    ('0.0', '−12.3', '+1,234.5')
    """
    text = f"{value:{'+' if is_signed else ''},.{decimals}f}"
    if not any(figure in "123456789" for figure in text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def chance_text(p: float) -> str:
    """A chance, never as none at all.

    >>> chance_text(0.0321), chance_text(1e-9), chance_text(1.0)
    ('0.032', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(metric: MetricResult, value: float, low: float | None, high: float | None, *, is_signed: bool) -> Shown:
    decimals = _decimals(metric, value, low, high)

    def number(one: float) -> Number:
        return _number(metric, one, decimals, is_signed=is_signed, is_difference=is_signed)

    lower = None if low is None else number(low)
    if lower is not None and lower.text.endswith("%"):  # the sign stands once, behind the upper end
        lower = Number(lower.value, lower.text.removesuffix("%").removesuffix(NARROW))
    return Shown(number(value), lower, None if high is None else number(high))


def _too_few(measured: Measured) -> Both:
    num = measured.num_groups
    if num < measured.num_items:
        return label("no_interval_groups", num=num)
    return label("no_interval_item" if num == 1 else "no_interval_items", num=num)


def _number(metric: MetricResult, value: float, decimals: int, *, is_signed: bool, is_difference: bool) -> Number:
    if metric.unit == "bytes":
        sign = "−" if value < 0 else "+" if is_signed and value > 0 else ""
        return Number(value, sign + bytes_text(abs(value)))
    if is_share(metric):
        text = fixed(100 * value, decimals, is_signed=is_signed)
        return Number(value, text if is_difference else f"{text}{NARROW}%")
    return Number(value, fixed(value, decimals, is_signed=is_signed))


def _decimals(metric: MetricResult, value: float, low: float | None, high: float | None) -> int:
    """As many as the interval's width, or up to two more if the value, has two figures; of a share at least one, and
    no share that is there as 0 %."""
    if is_share(metric):
        decimals = 1
        while decimals < SIGNIFICANT and _is_lost(100 * value, decimals):
            decimals += 1
        return decimals
    width = 0.0 if low is None or high is None else high - low
    if width > 0:
        of_width = 1 - floor(log10(width))
        of_value = min(1 - floor(log10(abs(value))), of_width + 2) if value else of_width
        return min(MOST_DECIMALS, max(0, of_width, of_value))
    return min(MOST_DECIMALS, max(0, SIGNIFICANT - 1 - floor(log10(abs(value))))) if value else 0


def _is_lost(percent: float, decimals: int) -> bool:
    """Whether something becomes nothing, or not all becomes all, when it is rounded."""
    rounded = round(percent, decimals)
    return (rounded == 0 != percent) or (rounded == 100 != percent)
