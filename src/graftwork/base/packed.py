"""Linear layers that answer from weights laid out for the processor's products, a copy made once.

A product in bfloat16 on a CPU lays its weight out anew each time it is called, which for a few rows takes a third of
its time. oneDNN takes a weight that lies so already. The layers' own weights stay where they are, so this needs their
memory once more; with gradients, other types and other devices a layer goes its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graftwork.base.ways import gone

TRIED_ROWS = 5, 64
NEAR = 0.01
"""Difference, as a share of the largest, that another order of the same sums may bring."""


@contextmanager
def packed(model: nn.Module) -> Iterator[int]:
    """Inside, linear layers of `model` in bfloat16 answer from packed weights; the bytes that these take."""
    ways = {module: way for module in model.modules() if (way := _packed_way(module))}
    with gone(ways):
        yield sum(module.weight.nbytes for module in ways)  # type: ignore[misc]


def _packed_way(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """The packed way of a plain linear layer; None where there is none, or where it gives something else."""
    if type(module) is not nn.Linear or "forward" in vars(module):
        return None
    weight = module.weight
    usual = weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and not weight.requires_grad
    if not usual or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    operations: Any = torch.ops.mkldnn
    with torch.no_grad():
        way = partial(_answer, module, operations._reorder_linear_weight(weight, 16), operations._linear_pointwise)
        return way if all(_is_near(module, way, num) for num in TRIED_ROWS) else None


def _answer(module: nn.Linear, weight: Tensor, product: Callable[..., Tensor], x: Tensor) -> Tensor:
    """In place of the layer's `forward`."""
    if torch.is_grad_enabled() or x.dtype != torch.bfloat16:
        return linear(x, module.weight, module.bias)
    return product(x, weight, module.bias, "none", [], "")


def _is_near(module: nn.Linear, way: Callable[[Tensor], Tensor], num_rows: int) -> bool:
    drawn = torch.Generator().manual_seed(0)
    x_NI = torch.randn(num_rows, module.in_features, generator=drawn).to(torch.bfloat16)
    own, ours = module(x_NI).float(), way(x_NI).float()
    return bool((own - ours).abs().max() <= NEAR * own.abs().max())
