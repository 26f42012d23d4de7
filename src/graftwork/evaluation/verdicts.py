"""Verdicts: what may be said of one comparison, of a dimension, of all of them. Pure.

Why no adjustment of "not worse" for several metrics: all of them must pass, so the chance that a subject that is worse
in any of them passes is never more than `alpha` (an intersection-union test: Berger 1982,
https://doi.org/10.1080/00401706.1982.10487790). "Better" and "worse" are claims of which one suffices; those are
adjusted by Holm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graftwork.evaluation.result import Comparison, DimensionResult, MetricResult, PairVerdict, Verdict
from graftwork.evaluation.statistics.holm import holm


def verdict_of(comparison: Comparison, better: str) -> Verdict:
    """What may be said of it, with the margin if it has one.

    A difference for the worse that is shown, but to be less than the margin, is "not worse": that is what the margin
    says. One without any chance, such as of medians, was judged by who measured it and stays.
    """
    if comparison.p is None and comparison.p_not_worse is None:
        return comparison.verdict
    chance = comparison.p_adjusted
    differs = chance is not None and chance < 1 - comparison.level
    gains = (comparison.difference > 0) == (better == "more")
    if differs and gains:
        return "better"
    if comparison.p_not_worse is not None and comparison.p_not_worse < comparison.alpha:
        return "not worse"
    return "worse" if differs else "not shown"


def judged(dimensions: Sequence[DimensionResult]) -> tuple[DimensionResult, ...]:
    """The dimensions with chances adjusted and verdicts given.

    Chances are adjusted for each pair of subjects: the main metrics of all dimensions together, the others together.
    """
    adjusted = _adjusted(dimensions)
    told = []
    for d, dimension in enumerate(dimensions):
        metrics = tuple(
            replace(metric, comparisons=tuple(_told(one, adjusted.get((d, m, c)), metric) for c, one in _each(metric)))
            for m, metric in enumerate(dimension.metrics)
        )
        told.append(replace(dimension, metrics=metrics, verdicts=_of_dimension(metrics)))
    return tuple(told)


def overall(dimensions: Iterable[DimensionResult]) -> tuple[PairVerdict, ...]:
    """The verdicts over all dimensions that have one of a pair."""
    by_pair: dict[tuple[str, str], list[tuple[str, Verdict]]] = {}
    for dimension in dimensions:
        for one in dimension.verdicts:
            by_pair.setdefault((one.subject, one.reference), []).append((dimension.name, one.verdict))
    return tuple(_combined(pair, parts) for pair, parts in by_pair.items())


def _each(metric: MetricResult) -> Iterable[tuple[int, Comparison]]:
    return enumerate(metric.comparisons)


def _told(comparison: Comparison, chance: float | None, metric: MetricResult) -> Comparison:
    adjusted = replace(comparison, p_adjusted=chance)
    return replace(adjusted, verdict=verdict_of(adjusted, metric.better))


def _adjusted(dimensions: Sequence[DimensionResult]) -> Mapping[tuple[int, int, int], float]:
    """By number of dimension, metric and comparison."""
    families: dict[tuple[str, str, bool], list[tuple[tuple[int, int, int], float]]] = {}
    for d, dimension in enumerate(dimensions):
        for m, metric in enumerate(dimension.metrics):
            for c, one in _each(metric):
                if one.p is not None:
                    families.setdefault((one.subject, one.reference, metric.is_main), []).append(((d, m, c), one.p))
    return {
        place: chance
        for family in families.values()
        for (place, _), chance in zip(family, holm([p for _, p in family]), strict=True)
    }


def _of_dimension(metrics: Sequence[MetricResult]) -> tuple[PairVerdict, ...]:
    by_pair: dict[tuple[str, str], list[tuple[str, Verdict]]] = {}
    for metric in metrics:
        if metric.is_main:
            for one in metric.comparisons:
                by_pair.setdefault((one.subject, one.reference), []).append((metric.name, one.verdict))
    return tuple(_combined(pair, parts) for pair, parts in by_pair.items())


def _combined(pair: tuple[str, str], parts: Sequence[tuple[str, Verdict]]) -> PairVerdict:
    """Worse if any part is; better or not worse only if all parts are one of these."""
    found = {verdict for _, verdict in parts}
    whole: Verdict
    if "worse" in found:
        whole = "worse"
    elif "not shown" in found:
        whole = "not shown"
    else:
        whole = "better" if "better" in found else "not worse"
    why = "; ".join(f"{name}: {verdict}" for name, verdict in parts)
    return PairVerdict(subject=pair[0], reference=pair[1], verdict=whole, why=why)
