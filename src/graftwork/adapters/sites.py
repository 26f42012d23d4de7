"""Where methods act in a running model. The linear site: a forward hook on the base's own layer.

A hook leaves the module tree, its names and its weights as they are, works on nn.Linear and GPT-2's
Conv1D alike, and is gone without a trace when the last adapter leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.route import Route


def weight_OI(module: nn.Module) -> Tensor:
    """The weight of a linear layer as (out, in), whichever way it is stored; a view."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(module, Conv1D) else weight


def linear_output(route: Route, place: str, module: nn.Module, x: Tensor, base: Tensor) -> Tensor:
    """What the linear layer at `place` gives when each segment of `route` has its own adapter, or none."""
    owners = route.at(place)
    if not owners:
        return base
    x_NI, base_NO = x.reshape(-1, x.shape[-1]), base.reshape(-1, base.shape[-1])
    per_unit = route.tokens_per_unit(x.shape, place)
    pieces = []
    for start, end, placed in owners:
        rows = slice(start * per_unit, end * per_unit)
        y_NO = base_NO[rows]
        if placed is not None:
            y_NO = placed.method.apply(
                placed.spec, placed.params, _dropped(x_NI[rows], placed, route), weight_OI(module), y_NO
            )
        pieces.append(y_NO)
    whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return whole.view(base.shape)


def _dropped(x_NI: Tensor, placed: Placed, route: Route) -> Tensor:
    rate = getattr(placed.spec, "dropout", 0.0)
    return dropout(x_NI, rate) if route.training and rate else x_NI
