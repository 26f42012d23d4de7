"""Structured LoRA: low rank joined with sparsity, in blocks that a dense product can use.

    y = x W^T + s (z_1 ... z_G) B^T,   z_g = x_g A_g^T

The inputs are cut in G equal groups and so are the ranks: group g of the ranks reads group g of the inputs and nothing
else. A has R I / G numbers instead of R I, and its product as many multiply-adds a token. With `blocks_out` = P > 1 the
same holds for B: the outputs are cut in P groups, and group p reads the ranks p, p + P, p + 2 P, ... So each group of
outputs hears from every group of inputs wherever R / G is a multiple of P.

Legend: N tokens, I in features, O out features, R rank, G groups of inputs, J inputs of a group, K ranks of a group of
inputs, P groups of outputs, Q outputs of a group, S ranks of a group of outputs.

Source: Tan et al. 2024, "MoRe Fine-Tuning with 10x Fewer Parameters", https://arxiv.org/abs/2408.17383, section 3, on
block-diagonal factors with a fixed shuffle between them (Dao et al. 2022, https://arxiv.org/abs/2204.00595).
Departs from it: B is dense unless `blocks_out` asks otherwise, and the update is scaled as LoRA's.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods import lora
from graftwork.adapters.ranks import RankPlan
from graftwork.base.facts import LinearPlace
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.base.facts import Place


class StructuredLoraSpec(lora.LowRank):
    """A request for structured LoRA."""

    method: Literal["structured_lora"] = "structured_lora"
    """Says which method this is."""

    rank: RankPlan = Field(
        default=16,
        examples=[8, {"kind": "uniform", "rank": 8}, {"kind": "tiered", "bottom": 4, "middle": 8, "top": 8}],
    )
    """Directions the update may use, a multiple of `blocks`: a number, or a plan such as {kind: tiered}. 8 to 64 are
    usual."""

    blocks: int = Field(default=4, ge=1, le=64, examples=[2, 1])
    """Groups of inputs, each read by its own share of the ranks: A is this many times smaller. 2 to 8 are usual."""

    blocks_out: int = Field(default=1, ge=1, le=64, examples=[2, 4])
    """Groups of outputs, each written by its own share of the ranks: B is this many times smaller. 1 is usual."""


def shapes(spec: StructuredLoraSpec, place: Place) -> Shapes:
    """The blocks of A and of B, which must come out even."""
    assert isinstance(place, LinearPlace)
    rank, inputs, outputs = spec.resolved_rank, place.in_features, place.out_features
    problems = [
        Problem(
            f"adapter.{field}",
            blocks,
            f"a divisor of rank {rank} and of the {features} {what}",
            _fitting(rank, features),
        )
        for field, blocks, features, what in (
            ("blocks", spec.blocks, inputs, f"inputs of {place.name}"),
            ("blocks_out", spec.blocks_out, outputs, f"outputs of {place.name}"),
        )
        if gcd(rank, features) % blocks
    ]
    if problems:
        raise SpecError(problems)
    return {
        "a_GKJ": (spec.blocks, rank // spec.blocks, inputs // spec.blocks),
        "b_PQS": (spec.blocks_out, outputs // spec.blocks_out, rank // spec.blocks_out),
    }


def init(spec: StructuredLoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """A uniform in +-1/sqrt(inputs that a rank reads), B zero: a fresh adapter changes nothing."""
    wanted = shapes(spec, frozen.place)
    groups, ranks, inputs = wanted["a_GKJ"]
    a_RJ = lora.started("kaiming_uniform", groups * ranks, inputs, generator)
    return {"a_GKJ": a_RJ.view(groups, ranks, inputs), "b_PQS": a_RJ.new_zeros(wanted["b_PQS"])}


def act(spec: StructuredLoraSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The dense form, zeros and all."""
    down_RI, up_OR = _dense(params)
    return LinearForm(down_RI=down_RI, up_OR=up_OR, scale=spec.scale, dropout=spec.dropout)


def run(spec: StructuredLoraSpec, params: Params, x_NI: Tensor, base_NO: Tensor) -> Tensor:
    """The same in fewer operations: a product a block, which is faster on a CPU than all in one strided product."""
    import torch

    a_GKJ, b_PQS = params["a_GKJ"].to(x_NI.dtype), params["b_PQS"].to(x_NI.dtype)
    read = zip(x_NI.chunk(len(a_GKJ), 1), a_GKJ, strict=True)
    z_NR = torch.cat([x_NJ @ a_KJ.T for x_NJ, a_KJ in read], 1)
    if len(b_PQS) == 1:
        return base_NO.addmm(z_NR, b_PQS[0].T, alpha=spec.scale)
    written = zip(z_NR.unflatten(1, (-1, len(b_PQS))).unbind(2), b_PQS, strict=True)
    return base_NO.add(torch.cat([z_NS @ b_QS.T for z_NS, b_QS in written], 1), alpha=spec.scale)


def _dense(params: Params) -> tuple[Tensor, Tensor]:
    import torch

    a_GKJ, b_PQS = params["a_GKJ"], params["b_PQS"]
    down_KJGG = torch.diag_embed(a_GKJ.permute(1, 2, 0))
    up_QSPP = torch.diag_embed(b_PQS.permute(1, 2, 0))
    down_RI = down_KJGG.permute(2, 0, 3, 1).flatten(2).flatten(0, 1)
    up_OR = up_QSPP.permute(2, 0, 1, 3).flatten(2).flatten(0, 1)
    return down_RI, up_OR


def _fitting(rank: int, features: int) -> str:
    common = gcd(rank, features)
    fitting = [str(n) for n in range(1, common + 1) if common % n == 0]
    return f"{', '.join(fitting)} would fit."


METHODS.add(
    "structured_lora",
    Method(
        name="structured_lora",
        site="linear",
        spec=StructuredLoraSpec,
        source="https://arxiv.org/abs/2408.17383",
        shapes=shapes,
        init=init,
        act=act,
        run=run,
    ),
)
