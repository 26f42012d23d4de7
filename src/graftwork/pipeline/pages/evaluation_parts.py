"""Parts of the evaluation report: metrics with their intervals and differences, slices, and changed items. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graftwork.evaluation.result import Changed, Comparison, DimensionResult, MetricResult, Value, Verdict
from graftwork.pipeline.pages.intervals import SHARES, Scale, Whisker, scale_of, whisker
from graftwork.pipeline.pages.metric_words import ABOUT
from graftwork.pipeline.pages.numbers import (
    Number,
    Shown,
    chance_text,
    difference_shown,
    is_share,
    margin_shown,
    measured_shown,
)
from graftwork.pipeline.pages.subjects import Called
from graftwork.pipeline.pages.words import Both, metric_word, term, titled

Subjects = Mapping[str, Called]


@dataclass(frozen=True, slots=True)
class Tick:
    """A round number of a scale; of those that are not main ones the words may be left out where room is scarce."""

    at: float
    words: str
    is_main: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueRow:
    """A metric of one subject, drawn."""

    who: Called
    shown: Shown
    whisker: Whisker
    num_items: int
    num_groups: int
    num_unscored: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A difference, drawn. `chance` is the adjusted p in words; None where there is none."""

    who: Called
    reference: Called
    shown: Shown
    whisker: Whisker
    verdict: Verdict
    chance: Number | None
    told: Comparison


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceRow:
    """A part of the items, and every subject's number on it; `worst` are those whose worst part it is."""

    name: Both
    value: Both
    num_items: int
    cells: Sequence[Shown | None]
    worst: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """All of one metric.

    Attributes:
        unit: of its values; `unit_apart`: of its differences.
        apart: scale of the differences, on which right is better.
        margin: what a subject may be worse by, None where nothing was asked; `margin_at` where that lies.
    """

    metric: MetricResult
    name: Both
    about: Both
    unit: Both
    unit_apart: Both
    scale: Scale
    ticks: Sequence[Tick]
    rows: Sequence[ValueRow]
    apart: Scale
    ticks_apart: Sequence[Tick]
    contrasts: Sequence[Contrast]
    zero_at: float
    margin: Number | None
    margin_at: float | None
    slices: Sequence[SliceRow]


def panel_of(metric: MetricResult, subjects: Subjects, dimension: str) -> Panel:
    """`metric` of `dimension` as it is drawn."""
    scale, apart = _scale(metric), _scale_apart(metric)
    margin = next((one.margin for one in metric.comparisons if one.margin is not None), None)
    worse_by = None if margin is None else _worse_by(metric, margin)
    unit = term("unit", metric.unit)
    return Panel(
        metric=metric,
        name=titled(metric_word(metric.name)),
        about=(metric.about, ABOUT.get(f"{dimension}.{metric.name}", metric.about)),
        unit=unit,
        unit_apart=term("unit", "points") if is_share(metric) else unit,
        scale=scale,
        ticks=_ticks(metric, scale, is_difference=False),
        rows=[_row(metric, value, subjects, scale) for value in metric.values if value.subject in subjects],
        apart=apart,
        ticks_apart=_ticks(metric, apart, is_difference=True),
        contrasts=[_contrast(metric, one, subjects, apart) for one in metric.comparisons],
        zero_at=apart.at(0.0),
        margin=None if margin is None else margin_shown(metric, margin),
        margin_at=None if worse_by is None else apart.at(worse_by),
        slices=slices_of(metric, subjects),
    )


def slices_of(metric: MetricResult, subjects: Subjects) -> list[SliceRow]:
    """Every part of the items that has numbers, in order of name and value."""
    told = {who: {(s.name, s.value): s for s in value.slices} for who in subjects if (value := metric.of(who))}
    worst = {who: value.worst for who in subjects if (value := metric.of(who))}
    rows = []
    for name, part in sorted({key for parts in told.values() for key in parts}):
        found = {who: parts[name, part] for who, parts in told.items() if (name, part) in parts}
        rows.append(
            SliceRow(
                name=term("slice", name),
                value=term(name, part),
                num_items=max(one.measured.num_items for one in found.values()),
                cells=[measured_shown(metric, found[who].measured) if who in found else None for who in subjects],
                worst=frozenset(w for w, one in worst.items() if one and (one.name, one.value) == (name, part)),
            )
        )
    return rows


def changes_of(dimension: DimensionResult, subjects: Subjects) -> list[tuple[bool, Called, Called, list[Changed]]]:
    """Items that changed, for better and then for worse, of every pair of subjects that has any."""
    pairs = list(dict.fromkeys((one.subject, one.reference) for one in dimension.changed))
    told = []
    for subject, reference in pairs:
        for is_better in (True, False):
            same = [
                one
                for one in dimension.changed
                if (one.subject, one.reference, one.is_better) == (subject, reference, is_better)
            ]
            if same:
                told.append((is_better, subjects[subject], subjects[reference], same))
    return told


def _scale(metric: MetricResult) -> Scale:
    if is_share(metric):
        return SHARES
    ends = [end for v in metric.values for end in (v.measured.value, v.measured.low, v.measured.high)]
    return scale_of(ends)


def _scale_apart(metric: MetricResult) -> Scale:
    ends: list[float | None] = [0.0]
    for one in metric.comparisons:
        ends += [one.difference, one.low, one.high]
        if one.margin is not None:
            ends.append(_worse_by(metric, one.margin))
    return scale_of(ends, is_flipped=metric.better == "less")


def _worse_by(metric: MetricResult, margin: float) -> float:
    return -margin if metric.better == "more" else margin


def _ticks(metric: MetricResult, scale: Scale, *, is_difference: bool) -> list[Tick]:
    factor = 100 if is_share(metric) else 1
    sign = "" if is_difference or not is_share(metric) else " %"
    apart = scale.ticks.index(0.0) % 2 if 0.0 in scale.ticks else 0
    return [
        Tick(scale.at(tick), f"{factor * tick:,.6g}{sign}".replace("-", "−"), i % 2 == apart)
        for i, tick in enumerate(scale.ticks)
    ]


def _row(metric: MetricResult, value: Value, subjects: Subjects, scale: Scale) -> ValueRow:
    measured = value.measured
    return ValueRow(
        who=subjects[value.subject],
        shown=measured_shown(metric, measured),
        whisker=whisker(scale, measured.value, measured.low, measured.high),
        num_items=measured.num_items,
        num_groups=measured.num_groups,
        num_unscored=value.num_unscored,
    )


def _contrast(metric: MetricResult, one: Comparison, subjects: Subjects, apart: Scale) -> Contrast:
    p = one.p if one.p_adjusted is None else one.p_adjusted
    return Contrast(
        who=subjects[one.subject],
        reference=subjects[one.reference],
        shown=difference_shown(metric, one),
        whisker=whisker(apart, one.difference, one.low, one.high),
        verdict=one.verdict,
        chance=None if p is None else Number(p, chance_text(p)),
        told=one,
    )
