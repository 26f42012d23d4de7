"""Full tuning: the parameters of a model of one's own, as something that the loop can train.

A model that computes in float32 (or float64) is trained as it is. One that computes in bfloat16 is trained through a
float32 copy of each parameter, its master: gradients are added up in the master's type as they arrive, the optimizer
moves the master, and the model gets it rounded. Steps that are smaller than bfloat16 can tell apart so add up all the
same.

Source: master weights: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, section 3.1.
Departs from it: bfloat16 has float32's range, so the loss is not scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graftwork.base.head import nats_of_states
from graftwork.base.parameters import head_parameters, outer_parameters
from graftwork.base.trained_head import nats_with_head

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.base.load import Base
    from graftwork.training.full_spec import FullSpec
    from graftwork.training.job import Loss


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Full:
    """A model's own parameters, to be trained.

    Attributes:
        params: what the optimizer moves, by name: the model's parameters, or their masters.
        computed: what the model computes with, by the same names.
        loss: what predictions cost; its gradient reaches all of `params`.
    """

    params: dict[str, Tensor]
    computed: dict[str, Tensor]
    loss: Loss

    def ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the model compute with what `params` hold, now and after each step of `optimizer`."""
        self._put_down()
        optimizer.register_step_post_hook(lambda *_: self._put_down())

    @torch.no_grad()
    def _put_down(self) -> None:
        for name, computed in self.computed.items():
            if computed is not self.params[name]:
                computed.copy_(self.params[name])


def full_of(base: Base, spec: FullSpec) -> Full:
    """The parameters of `base` that `spec` asks for, asking for gradients from now on. `base` must be a copy of one's
    own: it is changed by every step."""
    left = set() if spec.embeddings else {id(p) for p in outer_parameters(base.model)}
    computed = {name: p.requires_grad_() for name, p in base.model.named_parameters() if id(p) not in left}
    head = [p for p in head_parameters(base.model) if p.requires_grad]
    masters = {name: p if p.dtype.itemsize >= 4 else _master(p) for name, p in computed.items()}
    return Full(params=masters, computed=computed, loss=nats_with_head(head) if head else nats_of_states)


def _master(computed: Tensor) -> Tensor:
    """A float32 copy that takes over each gradient of `computed` as it arrives."""
    master = computed.detach().float().requires_grad_()

    def take_over(param: Tensor) -> None:
        assert param.grad is not None
        arrived = param.grad.float()
        master.grad = arrived if master.grad is None else master.grad.add_(arrived)
        param.grad = None

    hook: Callable[[Tensor], None] = take_over
    computed.register_post_accumulate_grad_hook(hook)
    return master
