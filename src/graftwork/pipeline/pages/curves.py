"""The learning curves of a training: which lines there are, and the page that shows them. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graftwork.core.units import count_text, seconds_text
from graftwork.pipeline.pages.charts import Chart, Line, Points, chart, smoothed
from graftwork.pipeline.pages.page import rendered
from graftwork.pipeline.pages.words import Both, label

SMOOTHED_FRAC, FEWEST_SMOOTHED = 0.025, 2
"""A smoothed line takes this share of the steps on either side; with fewer than so many it would say nothing more."""
BY_STEP = (
    ("rate", "learning_rate", "rate_unit"),
    ("grad_norm", "grad_norm", "norm_unit"),
    ("singular", "max_singular_value", "singular_unit"),
)
"""Charts beside that of the loss: its name, the value of a row, and its unit."""

Row = Mapping[str, Any]


def charts_of(rows: Sequence[Row]) -> list[Chart]:
    """The charts of a training, from the rows of its metrics; of what was never measured there is none."""
    steps = [row for row in rows if row["kind"] == "step"]
    looks = [row for row in rows if row["kind"] == "evaluation"]
    num_steps = max((row["step"] for row in rows), default=0)
    if not steps:
        return []
    charts = [chart(label("loss"), label("nats"), _losses(steps, looks, num_steps), num_steps=num_steps)]
    for name, key, unit in BY_STEP:
        points = [(row["step"], row[key]) for row in steps if row[key] is not None]
        if points:
            is_norm = key == "grad_norm"
            lines = _with_smoothed(label(name), points) if is_norm else [_line(label(name), "train", points)]
            charts.append(chart(label(name), label(unit), lines, num_steps=num_steps, may_be_log=is_norm))
    if angles := [(row["step"], angle) for row in steps if (angle := _largest_angle(row)) is not None]:
        lines = [*_with_smoothed(label("angle"), angles), _line(label("angle_90"), "base", [(0, 90), (num_steps, 90)])]
        charts.append(chart(label("angle"), label("angle_unit"), lines, num_steps=num_steps))
    return charts


def curves_page(rows: Sequence[Row], *, name: str) -> str:
    """One file of HTML with the curves, and the looks at the held-out loss as numbers."""
    steps = [row for row in rows if row["kind"] == "step"]
    looks = [row for row in rows if row["kind"] == "evaluation"]
    values = {
        "name": name,
        "headline": _headline(steps, looks),
        "charts": charts_of(rows),
        "looks": [_told(row) for row in looks],
        "num_records": looks[-1]["num_records"] if looks else 0,
        "num_steps": steps[-1]["step"] if steps else 0,
        "num_tokens": sum(row["num_tokens"] for row in steps),
        "seconds": seconds_text(sum(row["seconds"] for row in steps)),
    }
    return rendered("curves.html", values)


def _losses(steps: Sequence[Row], looks: Sequence[Row], num_steps: int) -> list[Line]:
    lines = _with_smoothed(label("train_loss"), [(row["step"], row["loss_nats"]) for row in steps])
    if looks:
        base = looks[-1]["base_nats"]
        lines.append(_line(label("held_out_base"), "base", [(0, base), (num_steps, base)]))
        lines.append(_line(label("held_out_adapter"), "held", [(row["step"], row["adapter_nats"]) for row in looks]))
    return lines


def _largest_angle(row: Row) -> float | None:
    """Of any two tasks of a step, in degrees; None where none were compared."""
    pairs = row.get("conflicts", {}).get("pairs", ())
    return max((pair["angle_deg"] for pair in pairs if pair["angle_deg"] is not None), default=None)


def _with_smoothed(name: Both, points: Points) -> list[Line]:
    around = round(SMOOTHED_FRAC * len(points))
    if around < FEWEST_SMOOTHED:
        return [_line(name, "train", points)]
    english, chinese = name
    smooth = f"{english}, smoothed", f"{chinese}（平滑）"
    return [_line(name, "raw", points), _line(smooth, "train", smoothed(points, around=around))]


def _line(name: Both, sort: Any, points: Points) -> Line:
    return Line(name=name, sort=sort, points=points)


def _headline(steps: Sequence[Row], looks: Sequence[Row]) -> Both:
    if not looks:
        return label("curves_no_looks", steps=count_text(len(steps)))
    best = min(looks, key=lambda row: row["adapter_nats"])
    told = {
        "base": f"{best['base_nats']:.3f}",
        "adapter": f"{best['adapter_nats']:.3f}",
        "step": count_text(best["step"]),
    }
    return label("curves_headline", **told)


def _told(row: Row) -> dict[str, str | bool]:
    change = row["adapter_nats"] - row["base_nats"]
    return {
        "step": count_text(row["step"]),
        "adapter": f"{row['adapter_nats']:.3f}",
        "base": f"{row['base_nats']:.3f}",
        "change": f"{change:+.3f} ± {1.96 * row['change_stderr']:.3f}".replace("-", "−"),
        "is_best": row["is_best"],
    }
