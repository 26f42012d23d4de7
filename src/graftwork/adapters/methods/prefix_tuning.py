"""Prefix tuning: trained keys and values in front of those of the tokens, in every layer.

    attention(q, [keys; k], [values; v])

Trained through a network, which is gone when training ends:

    hidden_p = tanh(code_p A^T + a),   keys_p = hidden_p B^T + b,   values_p = hidden_p C^T + c

Legend: P positions, K heads of keys, D head size, W width of the network.

Source: Li and Liang 2021, https://arxiv.org/abs/2101.00190, sections 4.2 and 4.3.
Departs from it: each layer has a network of its own, not one for all, so that layers stay apart; its codes are as wide
as its inside; keys are not rotated, as in PEFT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.adapters.evolution import Evolution, State
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.targets import CacheSpec
from graftwork.core.errors import Problem
from graftwork.core.spec import parse, plain

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.evolution import Gradients, Moment
    from graftwork.adapters.form import Frozen
    from graftwork.base.facts import AttentionPlace


class PrefixTuningSpec(CacheSpec):
    """A request for prefix tuning."""

    method: Literal["prefix_tuning"] = "prefix_tuning"
    """Says which method this is."""

    init_std: float = Field(default=0.2, gt=0, le=10)
    """Spread of the numbers that keys and values, or the network's codes, start from: 0.02 to 1."""

    network_features: int | None = Field(default=None, ge=1, le=65536, examples=[5])
    """Width of the network that keys and values are trained through, one a layer; 64 to 512 are usual. Absent: they are
    trained themselves."""


def shapes(spec: PrefixTuningSpec, place: AttentionPlace) -> Shapes:
    """Keys and values, or the network that gives them."""
    width, heads, numbers = spec.network_features, place.key_heads, place.head_dim
    if width is None:
        return {f"{made}_PKD": (spec.positions, heads, numbers) for made in ("keys", "values")}
    return {
        "code_PW": (spec.positions, width),
        "a_WW": (width, width),
        "a_bias_W": (width,),
        "b_KDW": (heads, numbers, width),
        "b_bias_KD": (heads, numbers),
        "c_KDW": (heads, numbers, width),
        "c_bias_KD": (heads, numbers),
    }


def init(spec: PrefixTuningSpec, frozen: Frozen, generator: Generator) -> Params:
    """Normal keys and values; or normal codes, and layers uniform in +-1/sqrt(W)."""
    import torch  # here, so that what only reads specs and shapes never loads it

    made = {name: torch.empty(shape) for name, shape in shapes(spec, frozen.place).items()}  # type: ignore[arg-type]
    for name, tensor in made.items():
        if name in ("keys_PKD", "values_PKD", "code_PW"):
            tensor.normal_(std=spec.init_std, generator=generator)
        else:
            assert spec.network_features is not None
            bound = spec.network_features**-0.5
            tensor.uniform_(-bound, bound, generator=generator)
    return made


def act(spec: PrefixTuningSpec, params: Params) -> tuple[Tensor, Tensor]:
    """keys_PKD and values_PKD."""
    if spec.network_features is None:
        return params["keys_PKD"], params["values_PKD"]
    hidden_PW = params["a_bias_W"].addmm(params["code_PW"], params["a_WW"].T).tanh()
    return (
        _layer(hidden_PW, params["b_KDW"], params["b_bias_KD"]),
        _layer(hidden_PW, params["c_KDW"], params["c_bias_KD"]),
    )


def _layer(hidden_PW: Tensor, weight_KDW: Tensor, bias_KD: Tensor) -> Tensor:
    out_PX: Tensor = bias_KD.flatten().addmm(hidden_PW, weight_KDW.flatten(0, 1).T)
    return out_PX.view(-1, *bias_KD.shape)


def _fits_any_training(spec: PrefixTuningSpec, num_steps: int) -> list[Problem]:
    return []


def _begin(spec: PrefixTuningSpec, placed: Mapping[str, Placed]) -> State:
    return {}


def _step(
    spec: PrefixTuningSpec, placed: Mapping[str, Placed], gradients: Gradients, state: State, moment: Moment
) -> None:
    """Nothing happens between steps."""


def _finish(spec: PrefixTuningSpec, placed: Mapping[str, Placed]) -> Mapping[str, Placed]:
    """Keys and values as the network gives them, without it."""
    return {key: _without_network(here) for key, here in placed.items()}


def _without_network(here: Placed) -> Placed:
    spec = here.spec
    assert isinstance(spec, PrefixTuningSpec)
    if spec.network_features is None:
        return here
    keys_PKD, values_PKD = act(spec, here.params)
    params = {"keys_PKD": keys_PKD.detach(), "values_PKD": values_PKD.detach()}
    return replace(here, spec=parse(PrefixTuningSpec, {**plain(spec), "network_features": None}), params=params)


METHODS.add(
    "prefix_tuning",
    Method(
        name="prefix_tuning",
        site="attention_cache",
        spec=PrefixTuningSpec,
        source="https://arxiv.org/abs/2101.00190",
        shapes=shapes,
        init=init,
        act=act,
        neutral="no",
        evolution=Evolution(check=_fits_any_training, begin=_begin, step=_step, finish=_finish),
    ),
)
