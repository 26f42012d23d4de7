"""How large an adapter's updates are: singular values of every update, without ever forming one.

    DeltaW = s U D,   U of O x R, D of R x I
    S = sqrt(U^T U)  (symmetric root),   sigma(DeltaW)^2 = s^2 lambda(S D D^T S)
    Frobenius norm = sqrt(sum of sigma^2),   stable rank = sum of sigma^2 / sigma_max^2

All are R x R products in float64; those of one shape are made and decomposed together. It reads `LinearForm` alone, so
it holds for every method at linear layers and at experts; a gain that a method multiplies outputs by is not in it.

Legend: I in features, O out features, R rank, K updates of one shape.
Source: stable rank, Rudelson and Vershynin 2007, https://arxiv.org/abs/math/0503442, section 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.form import LinearForm


@dataclass(frozen=True, kw_only=True, slots=True)
class Spectrum:
    """One update.

    Attributes:
        place: key of its place in the adapter.
        expert: which matrix of a stack, from 0; None where there is no stack.
        down: largest singular value of the factor that the input meets (A of LoRA).
        up: largest singular value of the factor that makes the output (B of LoRA).
        update: largest singular value of DeltaW, the scale included.
        frobenius: its Frobenius norm.
        stable_rank: how many directions it uses, from 1 to its rank; 0 while it is zero.
    """

    place: str
    expert: int | None
    down: float
    up: float
    update: float
    frobenius: float
    stable_rank: float


@dataclass(frozen=True, slots=True)
class _Factors:
    place: str
    expert: int | None
    down_RI: Tensor
    up_OR: Tensor
    scale: float


def spectra(bank: AdapterBank, adapter: Adapter) -> list[Spectrum]:
    """Every update of an adapter, in its order; a place whose method has no low-rank update has none."""
    with torch.no_grad():
        found: list[_Factors] = []
        for key, here in adapter.placed.items():
            if here.method.merges:
                found += _factors(key, here.form(bank.frozen(here.place)))
        told: list[Spectrum | None] = [None] * len(found)
        for at in _alike(found):
            for k, one in zip(at, _measured([found[k] for k in at]), strict=True):
                told[k] = one
    return [one for one in told if one is not None]


def spectra_of(forms: Iterable[tuple[str, LinearForm]]) -> list[Spectrum]:
    """Every update of forms by place, one by one."""
    with torch.no_grad():
        return [one for key, form in forms for factors in _factors(key, form) for one in _measured([factors])]


def summary_of(told: Sequence[Spectrum]) -> dict[str, Any]:
    """The largest and the median update, as plain data; nothing when there is no update."""
    if not told:
        return {}
    largest = max(told, key=lambda one: one.update)
    return {
        "num_updates": len(told),
        "largest_update": largest.update,
        "largest_update_at": largest.place if largest.expert is None else f"{largest.place} expert {largest.expert}",
        "median_update": median(one.update for one in told),
        "median_frobenius": median(one.frobenius for one in told),
        "median_stable_rank": median(one.stable_rank for one in told),
        "largest_factor": max(max(one.down, one.up) for one in told),
    }


def _factors(place: str, form: LinearForm) -> Iterator[_Factors]:
    down, up = form.down_RI, form.up_OR
    if down is None or up is None:
        return
    if down.ndim == 2:
        yield _Factors(place, None, down, up, form.scale)
        return
    for expert, (down_RI, up_OR) in enumerate(zip(down, up, strict=True)):
        yield _Factors(place, expert, down_RI, up_OR, form.scale)


def _alike(found: Sequence[_Factors]) -> list[list[int]]:
    groups: dict[tuple[torch.Size, torch.Size], list[int]] = {}
    for k, one in enumerate(found):
        groups.setdefault((one.down_RI.shape, one.up_OR.shape), []).append(k)
    return list(groups.values())


def _measured(alike: Sequence[_Factors]) -> list[Spectrum]:
    down_KRI = torch.stack([one.down_RI for one in alike]).double()
    up_KOR = torch.stack([one.up_OR for one in alike]).double()
    of_down_KRR, of_up_KRR = down_KRI @ down_KRI.mT, up_KOR.mT @ up_KOR
    up_values_KR, up_vectors_KRR = torch.linalg.eigh(of_up_KRR)
    root_KRR = up_vectors_KRR * up_values_KR.clamp(min=0).sqrt()[:, None, :]
    squares_KR = torch.linalg.eigvalsh(root_KRR.mT @ of_down_KRR @ root_KRR).clamp(min=0)
    down_K = torch.linalg.eigvalsh(of_down_KRR)[:, -1].clamp(min=0).sqrt()
    numbers = zip(
        alike,
        down_K.tolist(),
        up_values_KR[:, -1].clamp(min=0).sqrt().tolist(),
        squares_KR[:, -1].tolist(),
        squares_KR.sum(1).tolist(),
        strict=True,
    )
    return [
        Spectrum(
            place=one.place,
            expert=one.expert,
            down=down,
            up=up,
            update=one.scale * largest**0.5,
            frobenius=one.scale * total**0.5,
            stable_rank=total / largest if largest else 0.0,
        )
        for one, down, up, largest, total in numbers
    ]
