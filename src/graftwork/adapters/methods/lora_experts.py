"""LoRA at fused experts: every expert of a layer has factors of its own.

    y_e = x W_e^T + s (x A_e^T) B_e^T   for the tokens that the router sends to expert e

An expert starts as a linear layer of its shape would, each with a draw of its own. Its rank is the rank asked for
divided by the experts that answer for one token (`ranks.rank_at`), so that a token meets the rank that was asked for.

Legend: E experts, I in features, O out features, R rank of one expert.

Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1; a LoRA for each expert with the rank divided by
the active ones: Schulman and Thinking Machines 2025, "LoRA Without Regret".
Departs from it: no further.

The same update as PEFT 0.21 keeps it for a tensor named in `target_parameters` (`peft.tuners.lora.layer.ParamWrapper`),
for tensors stored as (E, out, in) and for those stored as (E, in, out) alike:

    lora_A.weight[e * R + r, i] = a_ERI[e, r, i]        a_ERI.flatten(0, 1), of shape (E * R, I)
    lora_B.weight[o, r * E + e] = b_EOR[e, o, r]        b_EOR.permute(1, 2, 0).flatten(1), of shape (O, R * E)

`r` there is R, and its scale alpha / r is ours. Of the tensors of one module the one named first is nested innermost:
with gate_up_proj before down_proj the names are `...experts.base_layer.lora_A.weight` and `...experts.lora_A.weight`.
PEFT allows no dropout there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import Method, Params, Shapes

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.methods.lora import LowRank
    from graftwork.base.facts import ExpertsPlace, Place
    from graftwork.core.spec import Spec


def at_experts(spec: type[Spec], init: Callable[..., Params]) -> Method:
    """The method that stands for LoRA at fused experts.

    Args:
        spec: what LoRA is asked.
        init: how A and B of one linear layer start.
    """
    return Method(
        name="lora_experts",
        site="experts",
        spec=spec,
        source="https://arxiv.org/abs/2106.09685",
        shapes=shapes,
        init=partial(_init, init),
        act=act,
    )


def shapes(spec: LowRank, place: ExpertsPlace) -> Shapes:
    """A and B of every expert."""
    experts, rank = place.num_experts, spec.resolved_rank
    return {"a_ERI": (experts, rank, place.in_features), "b_EOR": (experts, place.out_features, rank)}


def act(spec: LowRank, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The update itself, with a leading dimension of experts."""
    return LinearForm(down_RI=params["a_ERI"], up_OR=params["b_EOR"], scale=spec.scale, dropout=spec.dropout)


@dataclass(frozen=True, slots=True)
class _Expert:
    """One expert, seen as a linear layer."""

    place: Place
    weight: Tensor
    bias_O: None = None


def _init(init: Callable[..., Params], spec: LowRank, frozen: Frozen, generator: Generator) -> Params:
    import torch  # here, so that what only reads specs and shapes never loads it

    started = [init(spec, _Expert(frozen.place, weight_OI), generator) for weight_OI in frozen.weight]
    return {
        "a_ERI": torch.stack([one["a_RI"] for one in started]),
        "b_EOR": torch.stack([one["b_OR"] for one in started]),
    }
