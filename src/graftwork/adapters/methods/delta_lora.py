"""Delta-LoRA: LoRA whose every step also moves the frozen weight, by a share of what the step changed.

    W_{t+1} = W_t + lambda s (B_{t+1} A_{t+1} - B_t A_t)   from step k on;   y = x W_t^T + s (x A_t^T) B_t^T

These moves telescope: after any step t > k they come to lambda s (B_t A_t - B_k A_k). So the base stays as it is, for
other adapters to share, and a copy of A and B from step k says where the weight would be. As in the paper the moved
weight counts in what is computed and in the gradient that passes through the layer, but A and B get LoRA's own.

Legend: I in features, O out features, R rank, N numbers of a row.

Source: Zi et al. 2023, https://arxiv.org/abs/2309.02411, its algorithm, with `start_step` = K + 1. There is no dropout,
as there: it would part the gradient of A and B from that of the weight.
Departs from it: the weight is moved by the adapter, not in place. Twice LoRA's tensors are held, the copies not
trained; the layer's update costs twice LoRA's, and three times while it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.adapters.evolution import Evolution, Gradients, Moment, State
from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.methods import lora
from graftwork.adapters.ranks import MAX_RANK
from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.adapter import Placed
    from graftwork.base.facts import LinearPlace

COPIES = {"a_RI": "a0_RI", "b_OR": "b0_OR"}


class DeltaLoraSpec(lora.Ranked):
    """A request for Delta-LoRA."""

    method: Literal["delta_lora"] = "delta_lora"
    """Says which method this is."""

    update_ratio: float = Field(default=0.5, gt=0, le=100)
    """Share of each step's change that the weight moves as well: the paper's lambda. 0.5 to 2 are usual."""

    start_step: int = Field(default=10, ge=0, examples=[0, 3])
    """Steps of plain LoRA before the weight begins to move. A tenth of the training or less is usual."""


def shapes(spec: DeltaLoraSpec, place: LinearPlace) -> Shapes:
    """LoRA's, twice: as they are and as they were when the weight began to move."""
    if spec.resolved_rank > MAX_RANK // 2:
        hint = "Other tools read the adapter as a LoRA of twice the rank."
        raise SpecError([Problem("adapter.rank", spec.resolved_rank, f"a value <= {MAX_RANK // 2}", hint)])
    trained = lora.shapes(spec, place)
    return {**trained, **{copy: trained[name] for name, copy in COPIES.items()}}


def init(spec: DeltaLoraSpec, frozen: Frozen, generator: Generator) -> Params:
    """As LoRA."""
    out_features, in_features = frozen.weight.shape
    a_RI = lora.started("kaiming_uniform", spec.resolved_rank, in_features, generator)
    b_OR = a_RI.new_zeros(out_features, spec.resolved_rank)
    return {"a_RI": a_RI, "b_OR": b_OR, "a0_RI": a_RI.clone(), "b0_OR": b_OR.clone()}


def act(spec: DeltaLoraSpec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """LoRA's update, and how far the weight has moved."""
    import torch

    a_RI, b_OR = params["a_RI"], params["b_OR"]
    if not (a_RI.requires_grad or b_OR.requires_grad):
        down_NI, up_ON = _whole(spec, params)
        return LinearForm(down_RI=down_NI, up_OR=up_ON, scale=spec.scale)
    down_NI, up_ON = _moved(spec, {name: tensor.detach() for name, tensor in params.items()})
    return LinearForm(down_RI=torch.cat([a_RI, down_NI]), up_OR=torch.cat([b_OR, up_ON], dim=1), scale=spec.scale)


def plain(spec: DeltaLoraSpec, params: Params) -> tuple[lora.LoraSpec, Params]:
    """All that it comes to, a LoRA of twice the rank."""
    return lora.as_lora(spec, *_whole(spec, params))


def _moved(spec: DeltaLoraSpec, params: Params) -> tuple[Tensor, Tensor]:
    """lambda (B A - B0 A0) as lambda ((B - B0) A + B0 (A - A0)), in which no two large products cancel."""
    import torch

    a_RI, b_OR, a0_RI, b0_OR = (params[name] for name in ("a_RI", "b_OR", "a0_RI", "b0_OR"))
    up_ON = spec.update_ratio * torch.cat([b_OR - b0_OR, b0_OR], dim=1)
    return torch.cat([a_RI, a_RI - a0_RI]), up_ON


def _whole(spec: DeltaLoraSpec, params: Params) -> tuple[Tensor, Tensor]:
    """B A + lambda (B A - B0 A0); A is a factor of both terms."""
    down_NI, up_ON = _moved(spec, params)
    up_ON[:, : spec.resolved_rank] += params["b_OR"]
    return down_NI, up_ON


def _check(spec: DeltaLoraSpec, num_steps: int) -> list[Problem]:
    if spec.start_step < num_steps:
        return []
    hint = "Later the weight would never move, and this would be LoRA."
    return [Problem("start_step", spec.start_step, f"less than the {num_steps} steps of this training", hint)]


def _begin(spec: DeltaLoraSpec, placed: Mapping[str, Placed]) -> State:
    return {}


def _step(
    spec: DeltaLoraSpec, placed: Mapping[str, Placed], gradients: Gradients, state: State, moment: Moment
) -> None:
    if moment.step <= spec.start_step:
        for here in placed.values():
            for name, copy in COPIES.items():
                here.params[copy].copy_(here.params[name])


def _finish(spec: DeltaLoraSpec, placed: Mapping[str, Placed]) -> Mapping[str, Placed]:
    return placed


METHODS.add(
    "delta_lora",
    Method(
        name="delta_lora",
        site="linear",
        spec=DeltaLoraSpec,
        source="https://arxiv.org/abs/2309.02411",
        shapes=shapes,
        init=init,
        act=act,
        kept=tuple(COPIES.values()),
        slope=False,
        evolution=Evolution(check=_check, begin=_begin, step=_step, finish=_finish),
        plain=plain,
    ),
)
