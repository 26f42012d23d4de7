"""What lies between a base's linear layers, in one loop each where no gradient is wanted.

For a few tokens an operation of torch costs its start, and a norm has eight of them. So norms by the root of the mean
square, gates and rotations of queries and keys are loops that numba compiles, on a CPU. Which module is one of these is
tried, not believed; what is not, and what is computed with gradients, goes the base's own way. A sum may be made in
another order than torch's: the last bit of a norm can be another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graftwork.base.between_parts import FEATURE_NAMES, TYPES, turned_of
from graftwork.base.ways import gone, has_numba

FEW = 1 << 15
"""Numbers up to which one thread is sooner done than two are started."""
NEAR = {torch.bfloat16: 0.02, torch.float32: 1e-5}
"""Difference, as a share of the largest, that another order of the same operations may bring."""


@contextmanager
def quick(model: nn.Module) -> Iterator[int]:
    """Inside, modules of `model` answer so where they can; how many do."""
    ways = ways_of(model)
    with gone(ways):
        yield len(ways)


def ways_of(model: nn.Module) -> dict[nn.Module, Callable[..., Any]]:
    """A quick `forward` for each module of `model` that has one; none without numba."""
    if not has_numba() or next(model.parameters()).device.type != "cpu":
        return {}
    found: dict[nn.Module, Callable[..., Any]] = {}
    for module in model.modules():
        if "forward" in vars(module) or any(own.requires_grad for own in module.parameters()):
            continue
        if way := norm_of(module) or gate_of(module) or turned_of(module, asks=quick_for):
            found[module] = way
    return found


def quick_for(*tensors: Tensor) -> bool:
    """Whether they lie here in one of the types that the loops know, and no gradient is wanted."""
    first = tensors[0]
    same = all(t.dtype == first.dtype and t.device.type == "cpu" for t in tensors)
    return not torch.is_grad_enabled() and same and first.dtype in TYPES


class Norm:
    """A norm by the root of the mean square."""

    def __init__(self, module: nn.Module, weight: Tensor, eps: float) -> None:
        from graftwork.base.compiled import Prepared
        from graftwork.base.quick_loops import normed

        self.own, self._weight, self._eps = module.forward, weight, torch.tensor([eps])
        addresses = 0, weight.data_ptr(), 0, self._eps.data_ptr()
        self._loop = Prepared(normed[weight.dtype], *addresses, 0, len(weight))

    def __call__(self, x: Tensor) -> Tensor:
        """In place of the module's `forward`."""
        if not quick_for(x, self._weight):
            y: Tensor = self.own(x)
            return y
        x = x.contiguous()
        y = torch.empty_like(x)
        told = self._loop.told
        told[0], told[2], told[4] = x.data_ptr(), y.data_ptr(), x.numel() // x.shape[-1]
        self._loop(alone=x.numel() <= FEW)
        return y


class Gate:
    """An MLP with gate, up, down and SiLU."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        from graftwork.base.compiled import Prepared
        from graftwork.base.quick_loops import gated

        self._module: Any = module
        self._loop = Prepared(gated[dtype], 0, 0, 0, 0)

    def __call__(self, x: Tensor) -> Tensor:
        """In place of the module's `forward`."""
        gate, up = self._module.gate_proj(x), self._module.up_proj(x)
        inner = self._product(gate, up) if quick_for(gate, up) else self._module.act_fn(gate) * up
        y: Tensor = self._module.down_proj(inner)
        return y

    def _product(self, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        y, told = torch.empty_like(gate), self._loop.told
        told[0], told[1], told[2], told[3] = gate.data_ptr(), up.data_ptr(), y.data_ptr(), gate.numel()
        self._loop(alone=gate.numel() <= FEW)
        return y


def norm_of(module: nn.Module) -> Norm | None:
    """The quick way of a norm by the root of the mean square; None of any other module."""
    weight: Any = getattr(module, "weight", None)
    eps: Any = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    is_like = isinstance(weight, Tensor) and weight.ndim == 1 and isinstance(eps, float)
    if not is_like or len([*module.parameters(), *module.buffers()]) != 1 or weight.dtype not in TYPES:
        return None
    norm = Norm(module, weight.detach(), eps)
    tried = [_some((3, len(weight)), weight.dtype) * size for size in (1, eps**0.5)]
    return norm if all(_is_near(norm, module.forward, x) for x in tried) else None


def gate_of(module: nn.Module) -> Gate | None:
    """The quick way of an MLP with gate, up, down and SiLU; None of any other module."""
    if {name for name, _ in module.named_children()} != {*FEATURE_NAMES} or list(module.parameters(recurse=False)):
        return None
    here: Any = module
    width, dtypes = getattr(here.gate_proj, "in_features", 0), {own.dtype for own in module.parameters()}
    if len(dtypes) != 1 or not dtypes <= {*TYPES} or not width or list(here.act_fn.parameters()):
        return None
    gate = Gate(module, *dtypes)
    return gate if _is_near(gate, module.forward, _some((5, width), *dtypes) * 2) else None


@torch.no_grad()
def _is_near(ours: Callable[[Tensor], Tensor], own: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    expected, found = own(x).float(), ours(x).float()
    return bool((found - expected).abs().max() <= NEAR[x.dtype] * expected.abs().max())


def _some(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Numbers without a pattern around a quarter, always the same."""
    count = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64)
    return ((count * count * 0.618).sin() + 0.25).view(shape).to(dtype)
