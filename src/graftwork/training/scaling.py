"""Loss scaling, for bases in float16: gradients too small for it are made larger on their way, and smaller at the end.

    gradient = (1 / s) * d(s * loss) / d(theta)

s is a power of two, so that it rounds nothing. When a gradient overflows, no update is made of it: s is halved and the
same records are tried again. After GROW_AFTER updates in a row s is doubled.

Source: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, section 3.2.
Departs from it: a step whose gradient overflowed is done again and not left out, so that every record is learnt from
and schedules end where they should; s grows after fewer steps, since an adapter's training has hundreds of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

START, LEAST, MOST = 2.0**16, 1.0, 2.0**24
"""The scale at first, and between what it moves. Below 1 it would help nothing: the gradient itself is too large."""

GROW_AFTER = 100
"""Updates without an overflow before the scale is doubled."""


@dataclass(frozen=True, eq=False, slots=True)
class LossScale:
    """The scale of one training.

    Attributes:
        state: `scale`, and `good`: updates since it last changed; a checkpoint has them.
    """

    state: dict[str, Tensor]

    @property
    def scale(self) -> float:
        """What the loss is multiplied by now."""
        return float(self.state["scale"])


def loss_scale_for(dtype: torch.dtype) -> LossScale | None:
    """The scale at the start of a training on a base of this type; None for types that need none."""
    if dtype != torch.float16:
        return None
    return LossScale({"scale": torch.tensor(START, dtype=torch.float64), "good": torch.zeros((), dtype=torch.int64)})


def scaled(loss: Tensor, scale: LossScale | None) -> Tensor:
    """What the backward pass begins from."""
    return loss if scale is None else loss * scale.scale


def unscale(scale: LossScale | None, params: Iterable[Tensor]) -> bool:
    """Bring gradients back to their size.

    Returns:
        Whether they can be used. If not, one of them overflowed: they are cleared and the scale is halved, for another
        try. At the smallest scale they can be used as they are, for whoever looks at them to see.
    """
    if scale is None:
        return True
    leaves = list(params)
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    torch._foreach_mul_(gradients, 1 / scale.scale)
    are_finite = all(bool(norm.isfinite()) for norm in torch._foreach_norm(gradients, float("inf")))
    if not are_finite and scale.scale > LEAST:
        for leaf in leaves:
            leaf.grad = None
        _set(scale, scale.scale / 2)
        return False
    return True


def grow(scale: LossScale | None) -> None:
    """Tell the scale that an update was made."""
    if scale is None:
        return
    if int(scale.state["good"].add_(1)) >= GROW_AFTER:
        _set(scale, min(MOST, scale.scale * 2))


def _set(scale: LossScale, to: float) -> None:
    scale.state["scale"].fill_(to)
    scale.state["good"].zero_()
