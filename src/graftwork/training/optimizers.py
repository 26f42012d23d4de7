"""The optimizer of one adapter: AdamW, with a rate of its own for the factors B when asked.

    rate of B = ratio * rate of A,   all other tensors learn at the rate of A

Source: LoRA+, Hayou et al. 2024, https://arxiv.org/abs/2402.12354, section 4: B starts at zero and A does not, and in
wide layers both learn as they should only when B's rate is several times A's.
Departs from it: the schedule moves both rates together, and decoupled decay acts at each tensor's own rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from graftwork.training.spec import TrainSpec

OUTPUT_FACTORS = ("b_OR", "b_EOR", "b_PQS")
"""What the methods at linear layers and experts call B: the trained factor that makes the output."""

RATE_FACTOR = "rate_factor"
"""Of a group of the optimizer's tensors: what the learning rate is multiplied by."""


def optimizer_for(params: Mapping[str, Tensor], spec: TrainSpec) -> torch.optim.AdamW:
    """AdamW over `params`, in their order; factors B by themselves behind the others when they learn faster."""
    told = spec.optimizer
    return torch.optim.AdamW(
        _groups(params, told.b_rate_ratio),
        lr=spec.learning_rate,
        betas=(told.beta1, told.beta2),
        eps=told.eps,
        weight_decay=told.weight_decay,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Have the next step go at `rate`, each group at its own multiple of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(RATE_FACTOR, 1.0)


def is_output_factor(name: str) -> bool:
    """Whether the tensor called `name`, as `Adapter.tensors` calls it, is a factor B.

    >>> is_output_factor("model.layers.0.mlp.up_proj/b_OR"), is_output_factor("model.layers.0.mlp.up_proj/a_RI")
    (True, False)
    """
    return name.rpartition("/")[2] in OUTPUT_FACTORS


def _groups(params: Mapping[str, Tensor], b_rate_ratio: float) -> list[dict[str, Any]]:
    if b_rate_ratio == 1.0:
        return [{"params": list(params.values()), RATE_FACTOR: 1.0}]
    factors = [tensor for name, tensor in params.items() if is_output_factor(name)]
    others = [tensor for name, tensor in params.items() if not is_output_factor(name)]
    both = [{"params": others, RATE_FACTOR: 1.0}, {"params": factors, RATE_FACTOR: b_rate_ratio}]
    return [group for group in both if group["params"]]
