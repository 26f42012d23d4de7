"""Summary: from what each item scored to the result of an evaluation. Pure.

Every metric of every subject gets its interval, by slices too; every pair of subjects is compared on the items that
both have; chances are adjusted and verdicts given (`verdicts`). What has no number is left out and told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from zlib import crc32

from graftwork.core.errors import Problem, SpecError, WorkError, did_you_mean
from graftwork.evaluation.changes import changes
from graftwork.evaluation.comparing import Rules, compared
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Item, Score
from graftwork.evaluation.measuring import measured
from graftwork.evaluation.result import (
    Comparison,
    DimensionResult,
    EvaluationResult,
    MetricResult,
    Slice,
    Subject,
    Value,
    pairs_of,
)
from graftwork.evaluation.sample import sample_of
from graftwork.evaluation.verdicts import judged, overall

MARGIN_OF_SHARES = 0.01
"""Of what is a share or from 0 to 1: one in a hundred."""
MARGIN_FRAC = 0.01
"""Of other metrics: this part of the reference's value, as measured."""
FEWEST_IN_SLICE = 10
"""Items of a slice from which on it may be called the worst."""
EXAMPLES = 8
"""Items shown that changed for the better, and as many that changed for the worse."""

Scores = Mapping[str, Mapping[str, Score]]
"""Of one subject, by an item's id and a metric's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One dimension's items and what all subjects scored.

    Attributes:
        scores: by subject.
        said: what subjects said to an item's first question, by subject and item; for examples.
        notes: what the dimension or the engine left out, in sentences.
    """

    name: str
    about: str
    metrics: Sequence[Metric]
    items: Sequence[Item]
    scores: Mapping[str, Scores]
    said: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def summarised(
    subjects: Sequence[Subject],
    scored: Sequence[Scored],
    *,
    margins: Mapping[str, float] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    more: Sequence[DimensionResult] = (),
    notes: Sequence[str] = (),
) -> EvaluationResult:
    """The result of all dimensions.

    Args:
        pairs: whom to compare with whom, subject first; None for those of `pairs_of`.
        margins: by "dimension.metric" or "metric", what a subject may be worse by, in the metric's unit.
        more: dimensions that were measured rather than asked.

    Raises:
        SpecError: margins of metrics that nothing has.
        WorkError: a score that is no number.
    """
    asked = margins or {}
    _check_margins(asked, scored)
    wanted = pairs_of(subjects) if pairs is None else pairs
    told = judged([*(_dimension(subjects, wanted, one, asked, Rules()) for one in scored), *more])
    return EvaluationResult(
        subjects=tuple(subjects),
        dimensions=told,
        verdicts=overall(told),
        notes=tuple(notes),
    )


def _check_margins(margins: Mapping[str, float], scored: Sequence[Scored]) -> None:
    names = {name for one in scored for m in one.metrics for name in (m.name, f"{one.name}.{m.name}")}
    problems = [
        Problem(f"evaluation.margins.{name}", margin, "the name of a metric", did_you_mean(name, names))
        for name, margin in margins.items()
        if name not in names
    ]
    if problems:
        raise SpecError(problems)


def _dimension(
    subjects: Sequence[Subject],
    pairs: Sequence[tuple[str, str]],
    scored: Scored,
    margins: Mapping[str, float],
    rules: Rules,
) -> DimensionResult:
    metrics, notes = [], list(scored.notes)
    for metric in scored.metrics:
        ids = _ids_by_subject(scored, metric)
        if not any(ids.values()):
            notes.append(f"{metric.name}: no item has it.")
            continue
        values = tuple(
            _value(scored, metric, subject.name, ids, rules) for subject in subjects if ids.get(subject.name)
        )
        margin = margins.get(f"{scored.name}.{metric.name}", margins.get(metric.name))
        comparisons = [_comparison(scored, metric, pair, ids, margin, rules) for pair in pairs]
        notes += [
            f"{metric.name}: {value.subject} has no number of {value.num_unscored} items that others have one of."
            for value in values
            if value.num_unscored
        ]
        metrics.append(_result(metric, values, [one for one in comparisons if one is not None]))
    return DimensionResult(
        name=scored.name,
        about=scored.about,
        num_items=len(scored.items),
        metrics=tuple(metrics),
        changed=changes(scored.metrics, scored.items, scored.scores, scored.said, pairs, most=EXAMPLES),
        notes=tuple(notes),
    )


def _result(metric: Metric, values: Sequence[Value], comparisons: Sequence[Comparison]) -> MetricResult:
    return MetricResult(
        name=metric.name,
        unit=metric.unit,
        better=metric.better,
        about=metric.about,
        is_share=metric.is_share,
        is_main=metric.is_main,
        values=tuple(values),
        comparisons=tuple(comparisons),
    )


def _ids_by_subject(scored: Scored, metric: Metric) -> dict[str, list[str]]:
    """The items that a subject has a number of, in the items' order."""
    found: dict[str, list[str]] = {}
    for subject, scores in scored.scores.items():
        found[subject] = []
        for item in scored.items:
            score = scores.get(item.id, {}).get(metric.name)
            if score is None:
                continue
            if not all(map(isfinite, (score.total, score.weight, *score.counts))):
                raise WorkError(f"{scored.name}.{metric.name} of {subject}, item {item.id}: no number: {score}.")
            found[subject].append(item.id)
    return {subject: ids if _weighs(scored, metric, subject, ids) else [] for subject, ids in found.items()}


def _weighs(scored: Scored, metric: Metric, subject: str, ids: Sequence[str]) -> bool:
    return any(scored.scores[subject][i][metric.name].weight > 0 for i in ids)


def _value(scored: Scored, metric: Metric, subject: str, ids: Mapping[str, Sequence[str]], rules: Rules) -> Value:
    own = ids[subject]
    whole = measured(sample_of(metric, *_laid(scored, metric, subject, own)), rules.level)
    slices = _slices(scored, metric, subject, own, rules)
    return Value(
        subject=subject,
        measured=whole,
        slices=slices,
        worst=_worst(slices, metric.better),
        num_unscored=len(set().union(*ids.values())) - len(own),
    )


def _laid(scored: Scored, metric: Metric, subject: str, ids: Sequence[str]) -> tuple[list[Score], list[str]]:
    group = {item.id: item.group for item in scored.items}
    scores = scored.scores[subject]
    return [scores[i][metric.name] for i in ids], [group[i] for i in ids]


def _slices(scored: Scored, metric: Metric, subject: str, ids: Sequence[str], rules: Rules) -> tuple[Slice, ...]:
    """Of every slice that tells items apart; one that all items share says nothing."""
    parts: dict[str, dict[str, list[str]]] = {}
    wanted = set(ids)
    for item in scored.items:
        if item.id in wanted:
            for name, value in item.slices.items():
                parts.setdefault(name, {}).setdefault(value, []).append(item.id)
    return tuple(
        Slice(
            name=name,
            value=value,
            measured=measured(sample_of(metric, *_laid(scored, metric, subject, own)), rules.level),
        )
        for name, by_value in sorted(parts.items())
        if len(by_value) > 1
        for value, own in sorted(by_value.items())
        if _weighs(scored, metric, subject, own)
    )


def _worst(slices: Sequence[Slice], better: str) -> Slice | None:
    large = [one for one in slices if one.measured.num_items >= FEWEST_IN_SLICE]
    sign = 1.0 if better == "more" else -1.0
    return min(large, key=lambda one: sign * one.measured.value, default=None)


def _comparison(
    scored: Scored,
    metric: Metric,
    pair: tuple[str, str],
    ids: Mapping[str, Sequence[str]],
    margin: float | None,
    rules: Rules,
) -> Comparison | None:
    subject, reference = pair
    theirs = set(ids.get(reference, ()))
    both = [i for i in ids.get(subject, ()) if i in theirs]
    if not both or not all(_weighs(scored, metric, name, both) for name in pair):
        return None
    of_subject, of_reference = (sample_of(metric, *_laid(scored, metric, name, both)) for name in pair)
    if margin is None:
        margin = _usual_margin(metric, float(of_reference.value(of_reference.rows_NK.sum(0))))
    named = crc32(f"{scored.name}.{metric.name}".encode())
    seeded = Rules(level=rules.level, alpha=rules.alpha, seed=rules.seed + named)
    return compared(of_subject, of_reference, pair, better=metric.better, margin=margin, rules=seeded)


def _usual_margin(metric: Metric, of_reference: float) -> float | None:
    if metric.is_share or metric.is_within_one:
        return MARGIN_OF_SHARES
    return MARGIN_FRAC * abs(of_reference) or None
