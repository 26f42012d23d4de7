"""LoRA-XS: a small square matrix between the weight's own principal directions.

    y = x W^T + s x (U_r S_r M V_r^T)^T   of W = U S V^T;   s = alpha / rank

Only M is trained: R x R numbers a layer, whatever the layer's size.

Legend: I in features, O out features, R rank.

Source: Balazy et al. 2024, https://arxiv.org/abs/2405.17604, section 3.
Departs from it: M starts at zero, not near it, so that a fresh adapter changes nothing bit for bit; neither of its
sides is zero, so it has a gradient. The directions come from the fast decomposition of `pissa`; they are held beside M
and not trained. Other tools read the adapter as the plain LoRA that it comes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods import lora
from graftwork.adapters.methods.pissa import principal
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from torch import Generator

    from graftwork.base.facts import LinearPlace


class LoraXsSpec(lora.LowRank):
    """A request for LoRA-XS."""

    method: Literal["lora_xs"] = "lora_xs"
    """Says which method this is."""


def shapes(spec: LoraXsSpec, place: LinearPlace) -> Shapes:
    """The square matrix, and the directions at both of its sides."""
    rank, most = spec.resolved_rank, min(place.in_features, place.out_features)
    if rank > most:
        hint = f"{place.name} has {place.in_features} inputs and {place.out_features} outputs."
        raise SpecError([Problem("adapter.rank", rank, f"a value <= {most}", hint)])
    return {"core_RR": (rank, rank), "down_RI": (rank, place.in_features), "up_OR": (place.out_features, rank)}


def init(spec: LoraXsSpec, frozen: Frozen, generator: Generator) -> Params:
    """Directions of the weight, and nothing between them."""
    left_OR, values_R, right_RI = principal(frozen.weight, spec.resolved_rank, "fast", generator)
    up_OR = (left_OR * values_R).float()
    return {"core_RR": up_OR.new_zeros(len(values_R), len(values_R)), "down_RI": right_RI.float(), "up_OR": up_OR}


def act(spec: LoraXsSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The square matrix joined to the directions that it mixes."""
    up_OR = params["up_OR"] @ params["core_RR"]
    return LinearForm(down_RI=params["down_RI"], up_OR=up_OR, scale=spec.scale, dropout=spec.dropout)


def plain(spec: LoraXsSpec, params: Params) -> tuple[lora.LoraSpec, Params]:
    """All that it comes to, a LoRA of the same rank."""
    up_OR = params["up_OR"] @ params["core_RR"]
    return lora.as_lora(spec, params["down_RI"], up_OR, dropout=spec.dropout)


METHODS.add(
    "lora_xs",
    Method(
        name="lora_xs",
        site="linear",
        spec=LoraXsSpec,
        source="https://arxiv.org/abs/2405.17604",
        shapes=shapes,
        init=init,
        act=act,
        kept=("down_RI", "up_OR"),
        plain=plain,
    ),
)
