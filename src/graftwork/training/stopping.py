"""Looks at the held-out loss while training: how often, on how many records, which was best, and when it is enough.

Pure: every decision is a function of the request and of the losses seen so far, so a run that was killed and goes on
decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from graftwork.training.spec import TrainSpec

LOOKS = 10
"""Looks in a run, where the recipe does not say how often; a loss that falls and rises again shows in ten points."""
FEWEST_RECORDS, MOST_RECORDS = 16, 64
"""Records of a look, where the recipe does not say."""
COST_FRAC = 0.05
"""Share of the training's time that looks may take which nobody asked for and nothing depends on."""
FORWARD_FRAC = 0.5
"""Time of a forward pass as a share of a training pass: with a frozen base going back costs as much as going forth."""

Kept = Literal["last", "best"]


class EarlyStopping(Spec):
    """When a training ends before its last step."""

    patience: int = Field(default=3, ge=1)
    """So many looks in a row without a gain end the training. 2 to 5 are usual."""

    min_delta: float = Field(default=0.0, ge=0)
    """What counts as a gain: the held-out loss falls by more than so many nats per target token. 0 to 0.01 is usual."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look at the held-out records saw. Losses are in nats per target token.

    Attributes:
        step: optimizer steps done.
        change_stderr: standard error of the adapter's loss minus the base's, record by record.
        is_best: whether the adapter was never better before, on these records.
    """

    step: int
    adapter_nats: float
    base_nats: float
    change_stderr: float
    num_records: int
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LookPlan:
    """When looks are taken, and what follows from them.

    Attributes:
        every: steps between looks; there is one after the last step too.
        num_records: records of each.
        stopping: when the training ends early; None for never.
        keeps_best: whether the adapter of the best look is the one that is written.
    """

    every: int
    num_steps: int
    num_records: int
    stopping: EarlyStopping | None
    keeps_best: bool

    def is_due(self, step: int) -> bool:
        """Whether a look is taken after `step` steps."""
        return step == self.num_steps or step % self.every == 0

    def step_of(self, index: int) -> int:
        """Steps done at the look with number `index`."""
        return min((index + 1) * self.every, self.num_steps)

    def is_enough(self, losses_L: Sequence[float]) -> bool:
        """Whether the training ends after these looks."""
        told = self.stopping
        return told is not None and since_gain(losses_L, min_delta=told.min_delta) >= told.patience


def look_plan(spec: "TrainSpec", *, num_steps: int, num_held_out: int) -> LookPlan | None:
    """When to look in a training of `num_steps`, with `num_held_out` records to look at; None for never.

    What the recipe does not say is chosen so that looks cost at most COST_FRAC of the training, or as little as two
    passes over a few records; but when something depends on them, they are LOOKS looks at MOST_RECORDS records.
    """
    if spec.evaluate_every == 0:
        return None
    passes = num_steps * spec.records_per_step * COST_FRAC / FORWARD_FRAC
    num_records = MOST_RECORDS
    if not spec.looks_decide:
        num_records = min(max(int(passes / (LOOKS + 1)), FEWEST_RECORDS), MOST_RECORDS)
    num_records = min(spec.evaluation_records or num_records, num_held_out)
    looks = LOOKS
    if not spec.looks_decide:
        looks = min(max(int(passes / num_records) - 1, 1), LOOKS)  # one is the base's
    every = min(spec.evaluate_every or ceil(num_steps / looks), num_steps)
    return LookPlan(
        every=every,
        num_steps=num_steps,
        num_records=num_records,
        stopping=None if spec.early_stopping == "off" else spec.early_stopping,
        keeps_best=spec.keep == "best",
    )


def best_of(losses_L: Sequence[float]) -> int:
    """Number of the look with the lowest loss, the first of equal ones.

    >>> best_of([2.0, 1.5, 1.5, 1.7])
    1
    """
    return min(range(len(losses_L)), key=losses_L.__getitem__)


def since_gain(losses_L: Sequence[float], *, min_delta: float) -> int:
    """Looks since the loss last fell by more than `min_delta` below all that counted before.

    Source: Prechelt 1998, "Early Stopping - But When?", https://doi.org/10.1007/3-540-49430-8_3, criterion UP.
    Departs from it: the loss need not rise; not to fall is enough.

    >>> since_gain([2.0, 1.5, 1.6, 1.5], min_delta=0.0), since_gain([2.0, 1.9, 1.8, 1.7], min_delta=0.15)
    (2, 1)
    """
    lowest, waited = float("inf"), 0
    for loss in losses_L:
        if loss < lowest - min_delta:
            lowest, waited = loss, 0
        else:
            waited += 1
    return waited
