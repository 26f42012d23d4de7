"""What happens to an adapter between optimizer steps: budgets that fall, ranks that move, snapshots that are taken.

A record of functions over all places of one method in one adapter, so that they can be compared. The state is tensors
by name, so that a checkpoint holds it and a resumed run goes on as if never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graftwork.adapters.asked import parts_of
from graftwork.adapters.method import METHODS
from graftwork.core.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.adapter import Placed
    from graftwork.core.spec import Spec

State = dict[str, "Tensor"]
Gradients = Mapping[str, Mapping[str, "Tensor"]]
"""By place, then by param."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Where a training is.

    Attributes:
        step: optimizer steps done, this one included; from 1.
        num_steps: steps of the whole training.
    """

    step: int
    num_steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Evolution:
    """What a method does between steps.

    Attributes:
        check: `check(spec, num_steps)`: what is wrong with a spec for a training of so many steps, with paths from the
            spec's own root; nothing if it fits.
        begin: `begin(spec, placed)`: the state before the first step. Names and shapes stay as they are from then on. A
            resumed run begins too, and then gets back the numbers that a checkpoint holds.
        step: `step(spec, placed, gradients, state, moment)`: called after each optimizer step, without gradients being
            recorded and before those of the step are cleared. Changes params and state in place.
        finish: `finish(spec, placed)`: places as they are kept after the last step, say with the rank that each was
            given. What it needs to know is in the params; a place it leaves out is gone.
    """

    check: Callable[..., list[Problem]]
    begin: Callable[..., State]
    step: Callable[..., None]
    finish: Callable[..., Mapping[str, Placed]]


def schedule_problems(spec: Spec, num_steps: int) -> list[Problem]:
    """What is wrong with a request for an adapter in a training of `num_steps`, all of it, with paths of a recipe."""
    parts = parts_of(spec)
    found = []
    for number, part in enumerate(parts):
        evolution = METHODS[part.method].evolution  # type: ignore[attr-defined]
        path = f"adapter.parts[{number}]" if len(parts) > 1 else "adapter"
        told = evolution.check(part, num_steps) if evolution else []
        found += [replace(problem, path=f"{path}.{problem.path}") for problem in told]
    return found
