"""LoRA: a frozen weight plus a trained low-rank product.

    y = x W^T + s (x A^T) B^T,   s = alpha / rank, or alpha / sqrt(rank) when rank-stabilised

Legend: N tokens, I in features, O out features, R rank.

Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1; rank-stabilised scale: Kalajdzievski 2023,
https://arxiv.org/abs/2312.03732.
Departs from it: A starts uniform in +-1/sqrt(I) by default (as loralib and PEFT do), not Gaussian.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods.lora_experts import at_experts
from graftwork.adapters.ranks import RankPlan
from graftwork.adapters.targets import LinearSpec
from graftwork.core.spec import parse

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.base.facts import LinearPlace


class Ranked(LinearSpec):
    """What every low-rank method is asked."""

    rank: RankPlan = Field(
        default=16, examples=[3, {"kind": "uniform", "rank": 3}, {"kind": "tiered", "bottom": 1, "middle": 2, "top": 3}]
    )
    """Directions the update may use: a number, or a plan such as {kind: tiered}. 8 to 64 are usual."""

    alpha: float = Field(default=32.0, gt=0, le=1e6)
    """Strength: the update is scaled by alpha / rank. 32 suits every rank."""

    scaling: Literal["classic", "rank_stabilised"] = "classic"
    """How strength falls with rank: classic alpha / rank, or alpha / sqrt(rank)."""

    @property
    def resolved_rank(self) -> int:
        """The rank at one place; only a spec resolved for its place has one."""
        assert isinstance(self.rank, int), "a rank plan must be resolved for its place first"
        return self.rank

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied by."""
        return self.alpha / (self.resolved_rank if self.scaling == "classic" else sqrt(self.resolved_rank))


class LowRank(Ranked):
    """What every low-rank method is asked whose update may lose inputs while it is trained."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the update's inputs zeroed while training. 0 to 0.1 are usual."""


class LoraSpec(LowRank):
    """A request for LoRA."""

    method: Literal["lora"] = "lora"
    """Says which method this is."""

    init: Literal["kaiming_uniform", "orthogonal", "gaussian", "xavier_uniform"] = "kaiming_uniform"
    """How A starts; B starts at zero. kaiming_uniform is uniform in +-1/sqrt(in features)."""


def shapes(spec: Ranked, place: LinearPlace) -> Shapes:
    """A and B."""
    return {"a_RI": (spec.resolved_rank, place.in_features), "b_OR": (place.out_features, spec.resolved_rank)}


def init(spec: LoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """A as asked, B zero: a fresh adapter changes nothing."""
    out_features, in_features = frozen.weight.shape
    a_RI = started(spec.init, spec.resolved_rank, in_features, generator)
    return {"a_RI": a_RI, "b_OR": a_RI.new_zeros(out_features, spec.resolved_rank)}


def act(spec: LowRank, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The update itself."""
    return LinearForm(down_RI=params["a_RI"], up_OR=params["b_OR"], scale=spec.scale, dropout=spec.dropout)


def started(how: str, rank: int, in_features: int, generator: Generator) -> Tensor:
    """A's starting values: `how` is one of the names of `LoraSpec.init`."""
    import torch  # here, so that what only reads specs and shapes never loads it

    a_RI = torch.empty(rank, in_features)
    if how == "gaussian":  # standard deviation 1 / rank, as PEFT
        return a_RI.normal_(std=1 / rank, generator=generator)
    if how == "orthogonal":
        return _orthonormal_rows(a_RI, generator)
    bound = sqrt(6 / (in_features + rank)) if how == "xavier_uniform" else in_features**-0.5
    return a_RI.uniform_(-bound, bound, generator=generator)


def _orthonormal_rows(a_RI: Tensor, generator: Generator) -> Tensor:
    """Rows orthonormal; with more rows than columns, each block of `in_features` rows is."""
    import torch

    for block in a_RI.split(a_RI.shape[1]):
        square = torch.empty(block.shape[::-1], dtype=torch.float64).normal_(generator=generator)
        q_IR, upper = torch.linalg.qr(square)
        block.copy_((q_IR * upper.diagonal().sign()).T)  # the sign makes the draw uniform (Mezzadri 2007)
    return a_RI


def as_lora(spec: Ranked, down_NI: Tensor, up_ON: Tensor, *, dropout: float = 0.0) -> tuple[LoraSpec, Params]:
    """`spec.scale * up_ON down_NI` as a LoRA of as many ranks as the factors have, with the alpha of `spec`: what the
    two scales differ by is put into B."""
    raw = {"rank": len(down_NI), "alpha": spec.alpha, "dropout": dropout}
    told = parse(LoraSpec, raw)
    return told, {"a_RI": down_NI, "b_OR": up_ON * (spec.scale / told.scale)}


METHODS.add(
    "lora",
    Method(
        name="lora",
        site="linear",
        spec=LoraSpec,
        source="https://arxiv.org/abs/2106.09685",
        shapes=shapes,
        init=init,
        act=act,
        experts=at_experts(LoraSpec, init),
    ),
)
