"""L2: a pull of an adapter's tensors towards zero that is part of the loss.

    loss' = loss + l2 / 2 * sum of theta^2,   gradient' = gradient + l2 * theta

theta are all trained numbers of the adapter. The gradient is clipped with the rest and goes through Adam, which divides
it by its size: numbers whose gradient is large are pulled less. Decoupled decay (`optimizer.weight_decay`) pulls all
alike, past Adam: theta <- theta - rate * decay * theta. Both can be used; they are not the same.

Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, section 2, where the two are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def add_l2(params: Iterable[Tensor], l2: float) -> float:
    """Add the term's gradient to that of each tensor, once a step.

    Returns:
        The term itself; 0 when `l2` is.
    """
    leaves = list(params)
    if not l2 or not leaves:
        return 0.0
    with torch.no_grad():
        torch._foreach_add_([_gradient(leaf) for leaf in leaves], leaves, alpha=l2)
        norms = torch.stack([norm.double() for norm in torch._foreach_norm(leaves)])
    return l2 / 2 * float(norms.square().sum())


def _gradient(leaf: Tensor) -> Tensor:
    if leaf.grad is None:  # the step did not use it; the pull holds all the same
        leaf.grad = torch.zeros_like(leaf)
    return leaf.grad
