"""How the learning rate moves over a run. Pure."""

from math import cos, pi
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec


class Constant(Spec):
    """The same rate throughout, after the warm-up."""

    kind: Literal["constant"] = "constant"
    """Says which schedule this is."""

    warmup_frac: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps in which the rate rises in equal parts from zero. 0 to 0.1 are usual."""


class Cosine(Spec):
    """A half cosine from the full rate down, after the warm-up."""

    kind: Literal["cosine"] = "cosine"
    """Says which schedule this is."""

    warmup_frac: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the rate rises in equal parts from zero. 0.03 to 0.1 are usual."""

    final_frac: float = Field(default=0.0, ge=0, le=1)
    """The rate at the end, as a share of the full one. 0 or 0.1 are usual."""


def rate_factor(schedule: Constant | Cosine, step: int, num_steps: int) -> float:
    """What the learning rate is multiplied by at `step`, counted from 0, of `num_steps`.

    >>> [rate_factor(Constant(warmup_frac=0.5), step, 4) for step in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    >>> [round(rate_factor(Cosine(warmup_frac=0.0), step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    warmup = round(schedule.warmup_frac * num_steps)
    if step < warmup:
        return (step + 1) / warmup
    if isinstance(schedule, Constant):
        return 1.0
    done = (step - warmup) / max(1, num_steps - warmup)
    return schedule.final_frac + (1 - schedule.final_frac) * 0.5 * (1 + cos(pi * done))
