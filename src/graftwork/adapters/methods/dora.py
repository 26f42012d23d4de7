"""DoRA, weight-decomposed low-rank adaptation: the direction of each row by LoRA, its length by a number of its own.

    y = m / ||W + s B A||_row * (x W^T + s (x A^T) B^T) + bias,   s as LoRA's

The norm is a constant in the backward pass, and neither B A nor W + s B A is ever formed for it:

    ||w_i + s b_i A||^2 = ||w_i||^2 + 2 s (W A^T)_i . b_i + s^2 b_i (A A^T) . b_i

in float32 (float64 on float64 weights), once per change of A or B; ||w_i||^2 once per layer.

Legend: I in features, O out features, R rank.

Source: Liu et al. 2024, https://arxiv.org/abs/2402.09353, sections 4.1 and 4.3. What another source calls "DoRA
(dynamic)" gives layers their rank by importance; here that is the method `dynamic_lora`.
Departs from it: dropout zeroes inputs of the low-rank path alone; a row whose norm rounding cannot tell from zero
counts as that small a norm, where the formula would divide by zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods import lora

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from graftwork.base.facts import LinearPlace

CHUNK = 1 << 24
"""Numbers of the weight that are widened at a time."""


class DoraSpec(lora.LowRank):
    """A request for DoRA."""

    method: Literal["dora"] = "dora"
    """Says which method this is."""


def shapes(spec: DoraSpec, place: LinearPlace) -> Shapes:
    """LoRA's, and a length for each row."""
    return {**lora.shapes(spec, place), "magnitude_O": (place.out_features,)}


def init(spec: DoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """As LoRA; the lengths are those that the rows have, so that every gain is exactly 1."""
    weight_OI = frozen.weight
    out_features, in_features = weight_OI.shape
    a_RI = lora.started("kaiming_uniform", spec.resolved_rank, in_features, generator)
    squares_O = row_squares(weight_OI)
    none_O = squares_O.new_zeros(out_features)
    magnitude_O = _root(squares_O, none_O, none_O)
    return {"a_RI": a_RI, "b_OR": a_RI.new_zeros(out_features, spec.resolved_rank), "magnitude_O": magnitude_O}


def act(spec: DoraSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """LoRA's update, and the wanted length over the length that the changed row has."""
    a_RI, b_OR = params["a_RI"], params["b_OR"]

    def norm() -> Tensor:
        squares_O = memo.of("squares", [frozen.stored], lambda: row_squares(frozen.weight))
        return changed_norm(frozen.weight, squares_O, a_RI, b_OR, spec.scale)

    norm_O = memo.of(f"norm at scale {spec.scale}", [a_RI, b_OR, frozen.stored], norm)
    return LinearForm(
        down_RI=a_RI,
        up_OR=b_OR,
        scale=spec.scale,
        gain_O=params["magnitude_O"] / norm_O,
        dropout=spec.dropout,
    )


def changed_norm(
    weight_OI: Tensor, squares_O: Tensor, a_RI: Tensor, b_OR: Tensor, scale: float, *, chunk: int = CHUNK
) -> Tensor:
    """||W + scale B A|| of each row, in the type of `squares_O`, by products with A and B alone.

    Args:
        squares_O: ||W||^2 of each row.
        chunk: numbers of W that are widened at a time.
    """
    import torch

    # what is kept must serve a later backward pass, and no mode of the moment may make it coarser
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(weight_OI.device.type, enabled=False):
        a_RI, b_OR = a_RI.to(squares_O.dtype), b_OR.to(squares_O.dtype)
        rows = max(1, chunk // weight_OI.shape[1])
        products = [piece_PI.to(a_RI.dtype) @ a_RI.T for piece_PI in weight_OI.split(rows)]
        crossed_O = 2 * scale * (torch.cat(products) * b_OR).sum(1)
        added_O = scale**2 * (b_OR @ (a_RI @ a_RI.T) * b_OR).sum(1)
        return _root(squares_O, crossed_O, added_O)


def row_squares(weight_OI: Tensor) -> Tensor:
    """||W||^2 of each row, in float32, or float64 if W is."""
    import torch

    with torch.inference_mode(False), torch.no_grad():
        norm_O: Tensor = torch.linalg.vector_norm(weight_OI, dim=1, dtype=_wide(weight_OI))
        return norm_O.square()


def _root(squares_O: Tensor, crossed_O: Tensor, added_O: Tensor) -> Tensor:
    """The root of the sum, which rounding may leave at less than nothing where the terms cancel."""
    import torch

    limits = torch.finfo(squares_O.dtype)
    least_O = limits.eps * (squares_O + added_O + squares_O.mean())
    sum_O: Tensor = squares_O + crossed_O + added_O
    return sum_O.maximum(least_O).clamp_min(limits.tiny).sqrt()


def _wide(weight_OI: Tensor) -> torch.dtype:
    import torch

    return torch.float64 if weight_OI.dtype == torch.float64 else torch.float32


METHODS.add(
    "dora",
    Method(
        name="dora",
        site="linear",
        spec=DoraSpec,
        source="https://arxiv.org/abs/2402.09353",
        shapes=shapes,
        init=init,
        act=act,
        slope=False,
    ),
)
