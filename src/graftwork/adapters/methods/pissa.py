"""PiSSA: LoRA that starts from the weight's principal singular triplets, on a base that stays as it is.

    y = x W^T + s x (B A - B0 A0)^T,   A0 = sqrt(S_r / s) V_r^T,   B0 = U_r sqrt(S_r / s)   of W = U S V^T

What is computed is (B - B0) A + B0 (A - A0), the same thing: at the start both differences are exactly zero, and later
no two large products cancel.

Legend: I in features, O out features, R rank, K directions that are sought, N numbers of a row.

Source: Meng et al. 2024, https://arxiv.org/abs/2404.02948, section 3; fast decomposition: Halko et al. 2011,
https://arxiv.org/abs/0909.4061, algorithm 4.4.
Departs from it: the principal part is not taken out of the base, which other adapters share, but subtracted as a second
low-rank product that is not trained: twice the tensors are held, and the update costs twice LoRA's. The singular values
are divided by s, so that alpha means what it means for LoRA (as in PEFT). Dropout meets the change alone, so that the
principal part is never dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods import lora
from graftwork.adapters.ranks import MAX_RANK
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.base.facts import LinearPlace

SPARE = 8
"""Directions that the fast decomposition seeks beyond those it keeps."""

ROUNDS = 4
"""How often the fast decomposition goes through the weight and back: each makes small singular values weigh less."""


class PissaSpec(lora.LowRank):
    """A request for PiSSA."""

    method: Literal["pissa"] = "pissa"
    """Says which method this is."""

    svd: Literal["fast", "full"] = "fast"
    """How the principal part is found: fast is randomised and near enough, full takes some fifty times as long."""


def shapes(spec: PissaSpec, place: LinearPlace) -> Shapes:
    """LoRA's, twice: as they are trained and as they started."""
    most = min(place.in_features, place.out_features, MAX_RANK // 2)
    if spec.resolved_rank > most:
        hint = f"{place.name} has {place.in_features} inputs and {place.out_features} outputs."
        raise SpecError([Problem("adapter.rank", spec.resolved_rank, f"a value <= {most}", hint)])
    trained = lora.shapes(spec, place)
    return {**trained, "a0_RI": trained["a_RI"], "b0_OR": trained["b_OR"]}


def init(spec: PissaSpec, frozen: Frozen, generator: Generator) -> Params:
    """The principal part, split evenly between A and B."""
    left_OR, values_R, right_RI = principal(frozen.weight, spec.resolved_rank, spec.svd, generator)
    roots_R = (values_R / spec.scale).sqrt()
    a_RI, b_OR = (roots_R[:, None] * right_RI).float(), (left_OR * roots_R).float()
    return {"a_RI": a_RI, "b_OR": b_OR, "a0_RI": a_RI.clone(), "b0_OR": b_OR.clone()}


def act(spec: PissaSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """What has changed since the start."""
    down_NI, up_ON = _change(params)
    return LinearForm(down_RI=down_NI, up_OR=up_ON, scale=spec.scale, dropout=spec.dropout)


def plain(spec: PissaSpec, params: Params) -> tuple[lora.LoraSpec, Params]:
    """The change since the start, a LoRA of twice the rank."""
    return lora.as_lora(spec, *_change(params), dropout=spec.dropout)


def _change(params: Params) -> tuple[Tensor, Tensor]:
    import torch

    a_RI, b_OR, a0_RI, b0_OR = (params[name] for name in ("a_RI", "b_OR", "a0_RI", "b0_OR"))
    return torch.cat([a_RI, a_RI - a0_RI]), torch.cat([b_OR - b0_OR, b0_OR], dim=1)


def principal(weight_OI: Tensor, rank: int, how: str, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular triplets of a weight: U_OR, S_R and V^T_RI, in float32, or float64 if the weight is.

    Args:
        rank: how many; at most the smaller side of the weight.
        how: "full", or "fast": randomised.
    """
    import torch

    with torch.no_grad():
        wide_OI = weight_OI if weight_OI.dtype == torch.float64 else weight_OI.float()
        span_OK = None if how == "full" else _span(wide_OI, rank + SPARE, generator)
        sought = wide_OI if span_OK is None else span_OK.T @ wide_OI
        left, values, right_KI = torch.linalg.svd(sought, full_matrices=False)
        left_OK = left if span_OK is None else span_OK @ left
        kept = slice(rank)
        return left_OK[:, kept], values[kept], right_KI[kept]


def _span(weight_OI: Tensor, width: int, generator: Generator) -> Tensor:
    """Orthonormal columns that hold nearly all of the largest left singular vectors."""
    import torch

    width = min(width, *weight_OI.shape)
    drawn_IK = torch.empty(weight_OI.shape[1], width).normal_(generator=generator).to(weight_OI)
    span_OK: Tensor = torch.linalg.qr(weight_OI @ drawn_IK).Q
    for _ in range(ROUNDS):
        span_IK = torch.linalg.qr(weight_OI.T @ span_OK).Q
        span_OK = torch.linalg.qr(weight_OI @ span_IK).Q
    return span_OK


METHODS.add(
    "pissa",
    Method(
        name="pissa",
        site="linear",
        spec=PissaSpec,
        source="https://arxiv.org/abs/2404.02948",
        shapes=shapes,
        init=init,
        act=act,
        kept=("a0_RI", "b0_OR"),
        plain=plain,
    ),
)
