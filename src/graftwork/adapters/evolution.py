"""What happens to an adapter between optimizer steps: budgets that fall, ranks that move, snapshots that are taken.

A record of functions over all places of one method in one adapter, so that they can be compared. The state is tensors
by name, so that a checkpoint holds it and a resumed run goes on as if never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        check: what is wrong with a spec for a training of so many steps: problems, none if it fits.
        begin: the state before the first step.
        step: called after each optimizer step, before its gradients are cleared; changes params and state in place.
        finish: places as they are kept after the last step, say with the rank that each was given.
    """

    check: Callable[[Spec, int], list[object]]
    begin: Callable[[Spec, Mapping[str, Placed]], State]
    step: Callable[[Spec, Mapping[str, Placed], Gradients, State, Moment], None]
    finish: Callable[[Spec, Mapping[str, Placed]], Mapping[str, Placed]]
