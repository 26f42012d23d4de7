"""The result of an evaluation for people: a table a dimension, verdicts before it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from graftwork.evaluation.result import Comparison, DimensionResult, EvaluationResult, Measured, MetricResult


def show_result(console: Console, result: EvaluationResult) -> None:
    """Verdicts, then every dimension with all its numbers."""
    names = [subject.name for subject in result.subjects]
    for verdict in result.verdicts:
        told = f"{verdict.subject} beside {verdict.reference}: {verdict.verdict}. {verdict.why}"
        console.print(told, markup=False, soft_wrap=True)
    for dimension in result.dimensions:
        _show(console, dimension, names)
    for note in result.notes:
        console.print(note, markup=False, soft_wrap=True)
    console.print("In brackets: 95 % intervals. <: less is better.", markup=False)


def show_certificate(console: Console, certificate: Mapping[str, Any]) -> None:
    """That it was given, or every reason why not."""
    if reasons := certificate.get("refused"):
        console.print("No certificate that all were evaluated on equal terms:", markup=False)
        for reason in reasons:
            console.print(f"  {reason}", markup=False, soft_wrap=True)
    else:
        told = f"Certificate {certificate['digest'][:16]}: all were evaluated, and trained, on equal terms."
        console.print(told, markup=False)


def _show(console: Console, dimension: DimensionResult, names: Sequence[str]) -> None:
    table = Table(title=f"{dimension.name} ({dimension.num_items} items)", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    table.add_column("difference", overflow="fold")
    for metric in dimension.metrics:
        told = [_value(metric, name) for name in names]
        differences = "\n".join(_difference(metric, one, alone=_is_lone(metric)) for one in metric.comparisons)
        sign = " <" if metric.better == "less" else ""
        table.add_row(f"{metric.name}{sign}\n  {metric.unit}", *told, escape(differences))
    if dimension.metrics:
        console.print(table)
    else:
        console.print(f"{dimension.name}: no numbers.", markup=False)
    for note in dimension.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)


def _is_lone(metric: MetricResult) -> bool:
    return len(metric.comparisons) == 1


def _value(metric: MetricResult, name: str) -> str:
    found = metric.of(name)
    return "" if found is None else _told(found.measured)


def _told(measured: Measured) -> str:
    if measured.low is None or measured.high is None:
        return "\n".join([_number(measured.value), *([f"({measured.why_none})"] if measured.why_none else [])])
    return f"{_number(measured.value)}\n({_number(measured.low)} to {_number(measured.high)})"


def _difference(metric: MetricResult, one: Comparison, *, alone: bool) -> str:
    who = "" if alone else f"{one.subject} - {one.reference}: "
    ends = "" if one.low is None or one.high is None else f" ({_number(one.low, '+')} to {_number(one.high, '+')})"
    return f"{who}{_number(one.difference, '+')}{ends} {one.verdict}"


def _number(value: float, sign: str = "") -> str:
    if abs(value) >= 1000:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:{sign}.2g}"
