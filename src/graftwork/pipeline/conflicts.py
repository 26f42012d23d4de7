"""What the steps of a training say of tasks that share its adapter: in its summary, in words, for trackers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from statistics import mean
from typing import Any

Row = Mapping[str, Any]


def summary_of(rows: Iterable[Row], paths: Sequence[str]) -> dict[str, Any]:
    """Of all steps of a training; nothing where tasks were not looked at.

    Args:
        rows: of its metrics.
        paths: of the recipe's sources.
    """
    told = [row["conflicts"] for row in rows if row["kind"] == "step" and row.get("conflicts")]
    if not told:
        return {}
    present = sorted({task["source"] for one in told for task in one["tasks"]})
    pairs = [(a, b) for i, a in enumerate(present) for b in present[i + 1 :]]
    ratios = [one["norm_ratio"] for one in told if one["norm_ratio"] is not None]
    return {
        "num_steps": len(told),
        "in_conflict_frac": mean(float(any(map(_against, one["pairs"]))) for one in told),
        "mean_norm_ratio": mean(ratios) if ratios else None,
        "tasks": [{"source": source, "name": PurePath(paths[source]).name} for source in present],
        "pairs": [_pair(pair, told) for pair in pairs],
    }


def words_of(summary: Mapping[str, Any], *, projects: bool) -> str:
    """The main thing, for a person: how often tasks were in conflict, and which two the most."""
    names = {task["source"]: task["name"] for task in summary["tasks"]}
    measured = [pair for pair in summary["pairs"] if pair["num_steps"]]
    if not measured:
        return "tasks: no step had a gradient of two of them, so nothing could be compared"
    worst = max(measured, key=lambda pair: pair["mean_angle_deg"])
    one, other = worst["sources"]
    kept = summary["mean_norm_ratio"]
    did = "projecting left" if projects else "projecting would leave"
    left = "" if kept is None else f"; {did} {kept:.2f} of the gradient's norm on average"
    return (
        f"tasks: in conflict in {summary['in_conflict_frac']:.0%} of {summary['num_steps']} steps; mean angle "
        f"{worst['mean_angle_deg']:.0f} degrees, {worst['largest_angle_deg']:.0f} at most, between {names[one]} "
        f"(source {one}) and {names[other]} (source {other}){left}"
    )


def numbers_of(told: Row) -> dict[str, float]:
    """Those of a step, by name, for tools that show numbers.

    >>> numbers_of({"tasks": [], "pairs": [{"sources": [0, 1], "angle_deg": 97.5}], "norm_ratio": None})
    {'angle_deg_0_1': 97.5}
    """
    losses = {f"loss_nats_{task['source']}": task["loss_nats"] for task in told["tasks"]}
    norms = {f"grad_norm_{task['source']}": task["grad_norm"] for task in told["tasks"]}
    angles = {"angle_deg_{}_{}".format(*pair["sources"]): pair["angle_deg"] for pair in told["pairs"]}
    numbers = {**losses, **norms, **angles, "norm_ratio": told["norm_ratio"]}
    return {name: value for name, value in numbers.items() if value is not None}


def _pair(sources: tuple[int, int], told: Sequence[Row]) -> dict[str, Any]:
    of_pair = [pair for one in told for pair in one["pairs"] if tuple(pair["sources"]) == sources]
    found = [pair for pair in of_pair if pair["angle_deg"] is not None]
    angles = [pair["angle_deg"] for pair in found]
    return {
        "sources": list(sources),
        "num_steps": len(angles),
        "in_conflict_frac": mean(float(_against(pair)) for pair in found) if found else None,
        "mean_angle_deg": mean(angles) if angles else None,
        "largest_angle_deg": max(angles, default=None),
    }


def _against(pair: Row) -> bool:
    return pair["cosine"] is not None and pair["cosine"] < 0
