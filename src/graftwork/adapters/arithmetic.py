"""Sums and differences of adapters, and the nearest one of lower rank. Pure.

An adapter whose update is a product of two factors at every place can be scaled and added to others without forming an
(out x in) matrix: the factors lie side by side, scale and weight in B. The sum's rank is the sum of the ranks; the
nearest update of a lower rank comes from two QR decompositions and one small SVD:

    B = Q_b R_b,  A^T = Q_a R_a,  R_b R_a^T = U S V^T;   B' = Q_b U sqrt(S),  A' = sqrt(S) V^T Q_a^T, largest S first

Legend: I in features, O out features, R rank, K singular values; at fused experts all with a leading dimension.

Source: Eckart and Young 1936 for the nearest matrix of lower rank in the Frobenius norm.
Departs from it: no further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.adapter import Adapter, Placed
from graftwork.adapters.form import LinearForm, Memo
from graftwork.adapters.method import METHODS
from graftwork.adapters.ranks import MAX_RANK
from graftwork.base.facts import ExpertsPlace
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import parse

if TYPE_CHECKING:
    from graftwork.base.facts import Place

MOST_TERMS = 1000


@dataclass(frozen=True, slots=True)
class Update:
    """A low-rank update at one place: `up_OR @ down_RI`, nothing more."""

    place: Place
    down_RI: Tensor
    up_OR: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What of the update at one place a lower rank keeps.

    Attributes:
        norm: Frobenius norm of the whole update; of experts, of all of them.
        lost_norm: Frobenius norm of what is lost.
    """

    rank: int
    norm: float
    lost_norm: float

    @property
    def energy_frac(self) -> float:
        """Share of the squared norm that is kept; 1 of an update that is zero."""
        return 1 - (self.lost_norm / self.norm) ** 2 if self.norm else 1.0


class _NoBase:
    """Stands for the frozen layer where there is none: a method that asks for it has no update of its own."""

    def __getattr__(self, name: str) -> Tensor:
        raise _NeedsBaseError(name)


class _NeedsBaseError(Exception):
    """A method asked for the frozen layer."""


def updates_of(adapter: Adapter) -> dict[str, Update]:
    """The update of each place, by its name; of several methods at one place, their sum.

    Raises:
        SpecError: a method's effect is no low-rank update.
    """
    forms = {key: own_form(here) for key, here in adapter.placed.items()}
    if odd := sorted({adapter.placed[key].method.name for key, form in forms.items() if not _is_low_rank(form)}):
        expected = "a method whose effect is a low-rank update"
        raise SpecError(Problem("adapter.method", name, expected, "Merge it into the base instead.") for name in odd)
    found: dict[str, Update] = {}
    with torch.no_grad():
        for key, here in adapter.placed.items():
            form = forms[key]
            assert form is not None
            assert form.down_RI is not None
            assert form.up_OR is not None
            one = Update(here.place, form.down_RI.detach(), form.up_OR.detach() * form.scale)
            name = here.place.name
            found[name] = _beside(found[name], one) if name in found else one
    return found


def own_form(here: Placed) -> LinearForm | None:
    """What an adapter does at a linear or experts place, if it can be told without the base."""
    if not here.method.merges:
        return None
    try:
        form: LinearForm = here.method.act(here.spec, here.params, _NoBase(), Memo())
    except _NeedsBaseError:
        return None
    return form


def scaled(adapter: Adapter, factor: float) -> Adapter:
    """A LoRA whose update is `factor` times that of `adapter`. Raises SpecError as `added` does."""
    return added([(adapter, factor)])


def difference(adapter: Adapter, other: Adapter) -> Adapter:
    """A LoRA whose update is that of `adapter` less that of `other`. Raises SpecError as `added` does."""
    return added([(adapter, 1.0), (other, -1.0)])


def added(terms: Sequence[tuple[Adapter, float]]) -> Adapter:
    """A LoRA whose update is the weighted sum of those of adapters of one base, rank for rank.

    Raises:
        SpecError: a method's effect is no low-rank update, a place has another shape in another adapter, or the ranks
            come to more than a LoRA may have.
    """
    return as_lora(summed(terms))


def summed(terms: Sequence[tuple[Adapter, float]]) -> dict[str, Update]:
    """The weighted sum as updates, of any rank: for `recompressed`. Raises SpecError as `added` does."""
    if not 1 <= len(terms) <= MOST_TERMS:
        raise SpecError([Problem("terms", len(terms), f"1 to {MOST_TERMS} adapters")])
    found: dict[str, Update] = {}
    for adapter, weight in terms:
        for name, one in updates_of(adapter).items():
            weighted = Update(one.place, one.down_RI, one.up_OR * weight)
            found[name] = _beside(found[name], weighted) if name in found else weighted
    return found


def recompressed(
    updates: Mapping[str, Update], *, rank: int | None = None, energy_frac: float = 1.0
) -> tuple[Adapter, dict[str, Kept]]:
    """The nearest LoRA of lower rank, and what it keeps at each place.

    Args:
        rank: most directions that a place may use, 1 or more; None for as many as `energy_frac` takes.
        energy_frac: share of the squared Frobenius norm to keep at each place, 0 to 1; fewer directions are used where
            fewer are enough.

    Raises:
        SpecError: more directions are needed than a LoRA may have.
    """
    nearest = {name: _nearest(one, rank, energy_frac) for name, one in updates.items()}
    return as_lora({name: one for name, (one, _) in nearest.items()}), {
        name: kept for name, (_, kept) in nearest.items()
    }


def as_lora(updates: Mapping[str, Update]) -> Adapter:
    """Updates as a LoRA that nobody asked for: its scale is 1 everywhere.

    Raises:
        SpecError: a rank is more than a LoRA may have.
    """
    ranks = {name: one.down_RI.shape[-2] for name, one in updates.items()}
    if most := max((rank for rank in ranks.values() if rank > MAX_RANK), default=0):
        raise SpecError([Problem("rank", most, f"at most {MAX_RANK}", "Ask for a lower rank.")])
    return Adapter(spec=None, placed={name: _placed(one, ranks[name]) for name, one in updates.items()})


def _placed(one: Update, rank: int) -> Placed:
    lora = METHODS["lora"]
    method = lora.experts if isinstance(one.place, ExpertsPlace) else lora
    assert method is not None
    spec = parse(method.spec, {"method": "lora", "rank": rank, "alpha": float(rank)})
    names = list(method.shapes(spec, one.place))  # A and B, in this order
    tensors = (one.down_RI.clone(), one.up_OR.clone())
    return Placed(place=one.place, method=method, spec=spec, params=dict(zip(names, tensors, strict=True)))


def _is_low_rank(form: LinearForm | None) -> bool:
    return form is not None and form.down_RI is not None and form.gain_O is None and form.input_gain_I is None


def _beside(a: Update, b: Update) -> Update:
    if a.place != b.place:
        raise SpecError([Problem("terms", a.place.name, "adapters of one base, where a layer has one shape")])
    dtype = torch.promote_types(a.down_RI.dtype, b.down_RI.dtype)
    return Update(
        a.place,
        torch.cat([a.down_RI.to(dtype), b.down_RI.to(dtype)], dim=-2),
        torch.cat([a.up_OR.to(dtype), b.up_OR.to(dtype)], dim=-1),
    )


def _nearest(one: Update, rank: int | None, energy_frac: float) -> tuple[Update, Kept]:
    up_OR, down_RI = one.up_OR.double(), one.down_RI.double()
    q_OK, r_KR = torch.linalg.qr(up_OR)
    q_IK, s_KR = torch.linalg.qr(down_RI.mT)
    u_KK, values_K, v_KK = torch.linalg.svd(r_KR @ s_KR.mT, full_matrices=False)
    kept = min(_directions(values_K, energy_frac), rank or values_K.shape[-1])
    root_K = values_K[..., :kept].sqrt()
    near = Update(
        one.place,
        (root_K[..., None] * (v_KK[..., :kept, :] @ q_IK.mT)).to(one.down_RI.dtype),
        ((q_OK @ u_KK[..., :kept]) * root_K[..., None, :]).to(one.up_OR.dtype),
    )
    norm, lost = values_K.norm().item(), values_K[..., kept:].norm().item()
    return near, Kept(rank=kept, norm=norm, lost_norm=lost)


def _directions(values_K: Tensor, energy_frac: float) -> int:
    """How many of the largest singular values hold `energy_frac` of the energy; of experts, of each one's energy."""
    energy_K = values_K.square().cumsum(-1)
    rounding = energy_K.shape[-1] * torch.finfo(energy_K.dtype).eps
    enough_K = energy_K >= (energy_frac - rounding) * energy_K[..., -1:]
    return int((~enough_K).sum(-1).max()) + 1
