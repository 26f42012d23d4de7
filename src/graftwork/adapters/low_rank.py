"""A low-rank update with its backward pass written out: what is kept is the input by reference and the small product.

    z = x A^T,   y = base + s z B^T
    dz = s dy B,   dA = dz^T x,   dB = s dy^T z,   dx = dz A,   dbase = dy

Every product has a side of R, so no matrix of the frozen weight's size is ever made. Several layers that see the same
input (queries, keys and values; gate and up) take their first products in one matrix product, and give back one dx.
The factors may be float32 masters of a base in bfloat16: they are cast once for each of their versions, and their
gradients come out in their own type.

Legend: N tokens, I in features, O out features, R rank, S ranks of several layers side by side.

Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685; order of the products: Han and Han 2023, Unsloth.
Departs from it: dropout, any number of adapters in a batch, and the first product kept, not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graftwork.adapters.form import Memo


def cast(factor: Tensor, dtype: torch.dtype, name: str, memo: Memo) -> Tensor:
    """`factor` in the type that is computed in, without a gradient; for a trained tensor once for each version of it.

    Args:
        memo: keeps what is cast; of no use for factors that are computed anew each time.
    """
    if factor.dtype == dtype:
        return factor.detach()
    if not factor.is_leaf:
        return factor.detach().to(dtype)
    found: Tensor = memo.of(f"{name} as {dtype}", [factor], lambda: factor.detach().to(dtype))
    return found


class Again(Protocol):
    """How to make an input again in the backward pass, from tensors that others keep anyway."""

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """Those tensors, without gradients."""
        ...

    @property
    def maker(self) -> Callable[..., Tensor]:
        """Makes x_NI from them; holds none of them itself."""
        ...


class Shrink(torch.autograd.Function):
    """x_NI @ cat(downs).T: z_NS."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, casts: Sequence[Tensor], again: Again | None, *downs: Tensor) -> Tensor:
        """Multiply by `casts`; `downs` are what the gradients belong to. With `again`, x_NI is not kept."""
        down_SI = casts[0] if len(casts) == 1 else torch.cat(list(casts))
        ctx.maker = again.maker if again else None  # of `again` itself a recomputed layer would never let go
        ctx.save_for_backward(down_SI, *(again.sources if again else (x_NI,)))
        ctx.dtypes = x_NI.dtype, [down.dtype for down in downs]
        ctx.ranks = [down.shape[0] for down in downs]
        return x_NI.to(down_SI.dtype) @ down_SI.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz_NS: Tensor) -> tuple[Any, ...]:
        """Gradients of the input and of each down factor."""
        down_SI, *kept = ctx.saved_tensors
        dx_NI = (dz_NS @ down_SI).to(ctx.dtypes[0]) if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[3:]):
            return dx_NI, None, None, *(None for _ in ctx.ranks)
        x_NI = ctx.maker(*kept) if ctx.maker else kept[0]
        d_SI = dz_NS.T @ x_NI.to(dz_NS.dtype)
        pieces = zip(d_SI.split(ctx.ranks), ctx.dtypes[1], strict=True)
        return dx_NI, None, None, *(d_RI.to(dtype) for d_RI, dtype in pieces)


class Expand(torch.autograd.Function):
    """base_NO + scale * z_NR @ up_OR.T."""

    @staticmethod
    def forward(ctx: Any, base_NO: Tensor, z_NR: Tensor, cast_OR: Tensor, up_OR: Tensor, scale: float) -> Tensor:
        """Multiply by `cast_OR`; `up_OR` is what the gradient belongs to."""
        ctx.save_for_backward(z_NR, cast_OR)
        ctx.scale, ctx.dtype = scale, up_OR.dtype
        return base_NO.addmm(z_NR, cast_OR.T, alpha=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NO: Tensor) -> tuple[Any, ...]:
        """Gradients of the base's output, the small product and the up factor."""
        z_NR, cast_OR = ctx.saved_tensors
        dz_NR = (dy_NO @ cast_OR) * ctx.scale if ctx.needs_input_grad[1] else None
        return (
            dy_NO,
            dz_NR,
            None,
            _turned(z_NR * ctx.scale, dy_NO, ctx.dtype) if ctx.needs_input_grad[3] else None,
            None,
        )


def _turned(z_NR: Tensor, dy_NO: Tensor, dtype: torch.dtype) -> Tensor:
    """dy^T z as (z^T dy)^T: a product with few rows takes a third of the time of one with few columns."""
    return (z_NR.T @ dy_NO).T.to(dtype).contiguous()


def shrink(
    x_NI: Tensor, downs: Sequence[Tensor], casts: Sequence[Tensor], again: Again | None = None
) -> tuple[Tensor, ...]:
    """The first products of several layers with the same input: z_NR for each."""
    z_NS: Tensor = Shrink.apply(x_NI, casts, again, *downs)
    return (z_NS,) if len(downs) == 1 else z_NS.split([down.shape[0] for down in downs], dim=1)


def expand(base_NO: Tensor, z_NR: Tensor, up_OR: Tensor, cast_OR: Tensor, scale: float) -> Tensor:
    """The base's output plus the update."""
    y_NO: Tensor = Expand.apply(base_NO, z_NR, cast_OR, up_OR, scale)
    return y_NO
