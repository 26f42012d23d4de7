"""What a recipe may not ask for beside full tuning, which has no adapter. Pure; no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from graftwork.pipeline.spec import RunSpec


def full_problems(spec: RunSpec) -> Iterator[Problem]:
    """All that does not go together with `adapter.method: full`."""
    if spec.quantised != "off":
        yield Problem("quantised", spec.quantised, "off", "Full tuning moves the weights themselves.")
    if spec.dtype == "float16":
        hint = "Float16 has no room for the gradients of all weights."
        yield Problem("dtype", spec.dtype, "bfloat16 or float32", hint)
    if spec.on is not None:
        hint = (
            "Full tuning stands on no adapter. Merge it into its base (`graftwork merge`) and name the result as base."
        )
        yield Problem("on", spec.on, "none", hint)
    training = spec.training
    if training.spectral_cap is not None:
        hint = "Full tuning has no low-rank factors whose singular values could be held."
        yield Problem("training.spectral_cap", training.spectral_cap, "null", hint)
    if training.optimizer.b_rate_ratio != 1.0:
        hint = "Full tuning has no factors B."
        yield Problem("training.optimizer.b_rate_ratio", training.optimizer.b_rate_ratio, "1", hint)
    if training.ema_decay is not None:
        hint = "Full tuning writes the model of the last step, or of the best look (training.keep: best)."
        yield Problem("training.ema_decay", training.ema_decay, "null", hint)
    if training.accumulation == "auto":
        hint = "How much memory full tuning takes is not measured before; set a number of passes."
        yield Problem("training.accumulation", training.accumulation, "a number", hint)
    if training.watch_every is not None:
        hint = "Full tuning has no low-rank updates whose singular values could be looked at."
        yield Problem("training.watch_every", training.watch_every, "null", hint)
