"""Many adapters over few tokens each: the factors of all adapters at a place side by side, three operations in all.

    z = x cat(s_k A_k)^T,   z[n, columns of others than n's adapters] = 0,   y = gain * base + shift + z cat(B_k)^T

Adapters keep their own ranks. Columns of others are filled with zero, not multiplied by it, so that what overflows in
one adapter never reaches another's rows; and factors with an infinity in them are not put side by side at all.
For answers only: nothing here carries a gradient.

Legend: N tokens, I in features, O out features, R rank of one adapter, S ranks of all adapters side by side, G gained
tokens.

Source: the idea of one product for all adapters' first factors: LoRAFusion, https://arxiv.org/abs/2510.00206.
Departs from it: it multiplies every token by the factors of all adapters and then cuts; here the second product takes
all columns too, since for one token a row an operation costs more than its multiplications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from graftwork.adapters.form import Frozen, LinearForm
    from graftwork.adapters.route import Share

OPERATION_FLOPS = 1_000_000
"""Multiplications that take as long as starting one operation: some 10 microseconds of a core at 100 GFLOP/s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """The factors of all adapters at one place, side by side.

    Attributes:
        down_SI: scales within; in the type of the base.
        up_SO: gains within.
        is_others_US: of each unit of the route, the columns that are not its own; None if every column is every unit's.
        gain_GO: what base output is multiplied by, with shift_GO added; None if none is.
        gained_G: the units that this is done to, one a row; None for one row of both that holds for all tokens.
    """

    down_SI: Tensor
    up_SO: Tensor
    is_others_US: Tensor | None
    gained_G: Tensor | None
    gain_GO: Tensor | None
    shift_GO: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Owner:
    """Adapters one on top of the other as one: y = gain * base + shift + up down x."""

    down_RI: Tensor
    up_OR: Tensor
    gain_O: Tensor | None
    shift_O: Tensor


def is_side_by_side(shares: int, num_tokens: int, ranks: int, features: int) -> bool:
    """Whether one product over all columns is faster than a product for each share. Pure.

    Args:
        shares: pieces of the batch with an adapter of their own.
        ranks: of all adapters together.
        features: in and out together.

    >>> is_side_by_side(16, 16, 128, 1152), is_side_by_side(16, 4096, 128, 1152), is_side_by_side(1, 1, 8, 1152)
    (True, False, True)
    """
    wasted = num_tokens * ranks * features * (1 - 1 / shares)
    return wasted <= 2 * shares * OPERATION_FLOPS


def side(shares: Sequence[Share], frozen: Frozen, dtype: torch.dtype) -> Side | None:
    """Put what acts at a place side by side; None where only one by one is safe."""
    owners: dict[tuple[int, ...], _Owner] = {}
    for share in shares:
        if _key(share) not in owners:
            owners[_key(share)] = _as_one([placed.form(frozen) for placed in share.placed], frozen)
    down_SI = torch.cat([owner.down_RI for owner in owners.values()]).to(dtype)
    up_SO = torch.cat([owner.up_OR for owner in owners.values()], dim=1).T.to(dtype).contiguous()
    if len(owners) > 1 and not up_SO.isfinite().all():
        return None  # zero times infinity is no number
    starts = [range(share.start, share.end) if len(shares) > 1 else range(1) for share in shares]
    units = [(unit, owners[_key(share)]) for share, at in zip(shares, starts, strict=True) for unit in at]
    gained = [(unit, owner.gain_O, owner.shift_O) for unit, owner in units if owner.gain_O is not None]
    return Side(
        down_SI=down_SI,
        up_SO=up_SO,
        is_others_US=_is_others_US(shares, owners).to(down_SI.device) if len(owners) > 1 else None,
        gained_G=torch.tensor([u for u, _, _ in gained], device=down_SI.device) if gained and len(shares) > 1 else None,
        gain_GO=torch.stack([gain_O for _, gain_O, _ in gained]) if gained else None,
        shift_GO=torch.stack([shift_O for _, _, shift_O in gained]) if gained else None,
    )


def _key(share: Share) -> tuple[int, ...]:
    return tuple(map(id, share.placed))


def _is_others_US(shares: Sequence[Share], owners: Mapping[tuple[int, ...], _Owner]) -> Tensor:
    start, columns = 0, {}
    for key, owner in owners.items():
        end = start + owner.down_RI.shape[0]
        columns[key], start = slice(start, end), end
    is_others_US = torch.ones(shares[-1].end, start, dtype=torch.bool)
    for share in shares:
        is_others_US[share.start : share.end, columns[_key(share)]] = False
    return is_others_US


def _as_one(forms: Sequence[LinearForm], frozen: Frozen) -> _Owner:
    """Several forms, one on top of the other, as one; in float32 at least."""
    like = frozen.weight
    wide = torch.float64 if like.dtype == torch.float64 else torch.float32
    out_features, in_features = like.shape
    downs: list[Tensor] = []
    ups: list[Tensor] = []
    gain_O: Tensor | None = None
    shift_O = torch.zeros(out_features, dtype=wide, device=like.device)
    for form in forms:
        if form.down_RI is not None and form.up_OR is not None:
            downs.append(form.down_RI.to(wide) * form.scale)
            ups.append(form.up_OR.to(wide))
        if form.gain_O is not None:
            by_O = form.gain_O.to(wide)
            ups = [up_OR * by_O[:, None] for up_OR in ups]
            gain_O, shift_O = by_O if gain_O is None else gain_O * by_O, shift_O * by_O
            if frozen.bias_O is not None and not form.gains_bias:
                shift_O = shift_O + frozen.bias_O.to(wide) * (1 - by_O)
    return _Owner(
        down_RI=torch.cat([like.new_zeros(0, in_features, dtype=wide), *downs]),
        up_OR=torch.cat([like.new_zeros(out_features, 0, dtype=wide), *ups], dim=1),
        gain_O=gain_O,
        shift_O=shift_O,
    )


def first_products(x_NI: Tensor, down_SI: Tensor, is_others_NS: Tensor | None) -> Tensor:
    """z_NS of one layer, or of several with the same input; each token's columns of others are zero."""
    z_NS = x_NI @ down_SI.T
    return z_NS if is_others_NS is None else z_NS.masked_fill_(is_others_NS, 0)


def second_product(base_NO: Tensor, z_NS: Tensor, one: Side, num_units: int) -> Tensor:
    """The layer's output: every token's own gain and update."""
    if one.gain_GO is None or one.shift_GO is None:
        pass
    elif one.gained_G is None:
        base_NO = (base_NO * one.gain_GO + one.shift_GO).to(base_NO.dtype)
    else:
        base_NO = base_NO.clone()
        base_UTO = base_NO.view(num_units, -1, base_NO.shape[1])
        gained_GTO = base_UTO[one.gained_G] * one.gain_GO[:, None] + one.shift_GO[:, None]
        base_UTO[one.gained_G] = gained_GTO.to(base_NO.dtype)
    return base_NO.addmm(z_NS, one.up_SO) if z_NS.shape[1] else base_NO
