"""Optimizers that change tensors without saying so.

What is computed from an adapter's tensors (a cast, DoRA's norm) is kept until their version counters move. Fused
optimizers change tensors in place and leave the counters where they were: the values of the first step would be used
for ever. So every step of every `torch.optim.Optimizer` in this process moves the counters of its tensors, which is
what an in-place change does anyway.
"""

from functools import cache
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook


@cache
def watch_optimizers() -> None:
    """From now on each optimizer step moves the version counters of what it trains. Calling it again does nothing."""
    register_optimizer_step_post_hook(_moved)


def _moved(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with torch.no_grad():
        for group in optimizer.param_groups:
            torch.autograd.graph.increment_version([p for p in group["params"] if p.grad is not None])
