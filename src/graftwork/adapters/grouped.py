"""Many adapters over few tokens each: the factors of all adapters at a place side by side.

Adapters keep their own ranks. Factors with an infinity in them are not put side by side: a way that multiplies every
token by them would bring it to all. For answers only: nothing here carries a gradient.

Legend: N tokens, I in features, O out features, R rank of one adapter, S ranks of all adapters side by side, U units of
the route (rows or tokens), G gained units.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """The factors of all adapters at one place, side by side.

    Attributes:
        down_SI: scales within; in the type of the base.
        up_SO: gains within.
        own_U2: of each unit of the route, its first column and the one after its last; on the CPU.
        gain_GO: what base output is multiplied by, with shift_GO added; None if none is.
        gained_G: the units that this is done to, one a row; None for one row of both that holds for all tokens.
    """

    down_SI: Tensor
    up_SO: Tensor
    own_U2: Tensor
    gained_G: Tensor | None
    gain_GO: Tensor | None
    shift_GO: Tensor | None

    def own_N2(self, num_tokens: int) -> Tensor:
        """The same of each token; where tokens are gathered, and all have one owner, there may be a few too few."""
        return self.own_U2.repeat_interleave(-(-num_tokens // len(self.own_U2)), dim=0)[:num_tokens]


@dataclass(frozen=True, kw_only=True, slots=True)
class AsOne:
    """Adapters one on top of the other as one: y = gain * base + shift + up down x."""

    down_RI: Tensor
    up_OR: Tensor
    gain_O: Tensor | None
    shift_O: Tensor


def side(shares: Sequence[Share], frozen: Frozen, dtype: torch.dtype) -> Side | None:
    """Put what acts at a place side by side; None where only one by one is safe."""
    owners: dict[tuple[int, ...], AsOne] = {}
    for share in shares:
        if _key(share) not in owners:
            owners[_key(share)] = as_one([placed.form(frozen) for placed in share.placed], frozen)
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
        own_U2=_own_U2(shares, owners),
        gained_G=torch.tensor([u for u, _, _ in gained], device=down_SI.device) if gained and len(shares) > 1 else None,
        gain_GO=torch.stack([gain_O for _, gain_O, _ in gained]) if gained else None,
        shift_GO=torch.stack([shift_O for _, _, shift_O in gained]) if gained else None,
    )


def _key(share: Share) -> tuple[int, ...]:
    return tuple(map(id, share.placed))


def _own_U2(shares: Sequence[Share], owners: Mapping[tuple[int, ...], AsOne]) -> Tensor:
    start, columns = 0, {}
    for key, owner in owners.items():
        end = start + owner.down_RI.shape[0]
        columns[key], start = (start, end), end
    return torch.tensor([columns[_key(share)] for share in shares for _ in range(share.start, share.end)])


def as_one(forms: Sequence[LinearForm], frozen: Frozen) -> AsOne:
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
    return AsOne(
        down_RI=torch.cat([like.new_zeros(0, in_features, dtype=wide), *downs]),
        up_OR=torch.cat([like.new_zeros(out_features, 0, dtype=wide), *ups], dim=1),
        gain_O=gain_O,
        shift_O=shift_O,
    )


def gained(base: Tensor, one: Side, num_units: int) -> Tensor:
    """The frozen layer's output after every token's own gain, in a tensor of its own where there is one."""
    if one.gain_GO is None or one.shift_GO is None:
        return base
    if one.gained_G is None:
        return (base * one.gain_GO + one.shift_GO).to(base.dtype)
    whole_UTO = base.reshape(num_units, -1, base.shape[-1]).clone()
    gained_GTO = whole_UTO[one.gained_G] * one.gain_GO[:, None] + one.shift_GO[:, None]
    whole_UTO[one.gained_G] = gained_GTO.to(base.dtype)
    return whole_UTO.view(base.shape)
