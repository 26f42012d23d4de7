"""The request for the full tuning that stands beside a run, and what it does not go with. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse, plain
from graftwork.evaluation.spec import FullBaseline

if TYPE_CHECKING:
    from graftwork.pipeline.spec import RunSpec

NOT_OF_FULL = {"spectral_cap": None, "ema_decay": None, "watch_every": None}
"""Settings of a training that are about an adapter's factors, as full tuning has them."""


def baseline_spec(spec: RunSpec, baseline: FullBaseline, rate: float) -> RunSpec:
    """`spec` with the base itself trained, at `rate`, on the same data in the same order.

    Raises:
        SpecError: the training asks for what full tuning cannot do.
    """
    told = dict(plain(spec))
    training = {**dict(plain(spec.training)), **NOT_OF_FULL, "learning_rate": rate}
    training["optimizer"] = {**training["optimizer"], "b_rate_ratio": 1.0}  # type: ignore[dict-item]
    if training["accumulation"] == "auto":
        training["accumulation"] = 1
    if baseline.epochs is not None:
        training |= {"steps": None, "epochs": baseline.epochs}
    kept = {key: value for key, value in told.items() if key not in ("on", "quantised", "evaluation", "trackers")}
    dtype = "bfloat16" if spec.dtype == "float16" else spec.dtype
    return parse(type(spec), {**kept, "dtype": dtype, "adapter": {"method": "full"}, "training": training})


def baseline_problems(spec: RunSpec) -> Iterator[Problem]:
    """All that keeps a recipe from having a baseline; none without one."""
    baseline = spec.evaluation.baseline
    if not isinstance(baseline, FullBaseline):
        return
    if spec.is_full:
        yield Problem("evaluation.baseline", "full", "none with adapter.method: full", "It would be trained twice.")
    elif spec.stages:
        hint = "Its stages see other data one after another. Train full tuning as a run of its own and compare them."
        yield Problem("evaluation.baseline", "full", "none with stages", hint)
    else:
        try:
            baseline_spec(spec, baseline, baseline.rates[0])
        except SpecError as error:
            for problem in error.problems:
                yield replace(problem, path=f"evaluation.baseline, {problem.path}")
