"""Bottleneck adapters: two small layers after a sub-layer, or beside it.

    serial:    y = h + s (f(h D^T + d) U^T + u)
    parallel:  y = h + s (f(x D^T + d) U^T + u)

h is what the sub-layer gives, x what it was given. Houlsby et al. adapt attention and mlp (`after: [attention, mlp]`),
Pfeiffer et al. the mlp alone (`after: [mlp]`), He et al. beside the mlp (`after: [mlp]`, parallel, scale 4).

Legend: N tokens, H features of the sub-layer, S features of the bottleneck.

Source: Houlsby et al. 2019, https://arxiv.org/abs/1902.00751, section 2.1; Pfeiffer et al. 2020,
https://arxiv.org/abs/2005.00052; parallel: He et al. 2022, https://arxiv.org/abs/2110.04366, section 4.
Departs from it: the norms of the base are not trained; U, d and u start at zero, so that a fresh adapter
changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.targets import BlockSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from graftwork.adapters.form import Frozen
    from graftwork.base.facts import BlockPlace


class BottleneckSpec(BlockSpec):
    """A request for bottleneck adapters."""

    method: Literal["bottleneck"] = "bottleneck"
    """Says which method this is."""

    bottleneck_features: int = Field(default=64, ge=1, le=65536, examples=[3])
    """Width of the bottleneck: trained numbers grow with it. A sixteenth of the base's width is usual, 8 to 256."""

    activation: Literal["gelu", "relu", "silu", "tanh"] = "gelu"
    """The curve between the two layers."""

    placement: Literal["serial", "parallel"] = "serial"
    """What the adapter reads: what the sub-layer gives (serial), or what it was given (parallel)."""

    scale: float = Field(default=1.0, gt=0, le=100)
    """What its output is multiplied by. 1 is usual; 4 for parallel."""


def shapes(spec: BottleneckSpec, place: BlockPlace) -> Shapes:
    """Two layers with their biases."""
    num_features, narrow = place.features, spec.bottleneck_features
    return {
        "down_SH": (narrow, num_features),
        "down_bias_S": (narrow,),
        "up_HS": (num_features, narrow),
        "up_bias_H": (num_features,),
    }


def init(spec: BottleneckSpec, frozen: Frozen, generator: Generator) -> Params:
    """D uniform in +-1/sqrt(H), all else zero: a fresh adapter changes nothing."""
    import torch  # here, so that what only reads specs and shapes never loads it

    from graftwork.base.facts import BlockPlace

    assert isinstance(frozen.place, BlockPlace)
    made = {name: torch.zeros(shape) for name, shape in shapes(spec, frozen.place).items()}
    bound = frozen.place.features**-0.5
    made["down_SH"].uniform_(-bound, bound, generator=generator)
    return made


def act(spec: BottleneckSpec, params: Params, entry_NH: Tensor, exit_NH: Tensor) -> Tensor:
    """The sub-layer's output plus the adapter's, in the output's type."""
    down_SH, down_bias_S, up_HS, up_bias_H = (
        params[name].to(exit_NH.dtype) for name in ("down_SH", "down_bias_S", "up_HS", "up_bias_H")
    )
    read_NH = entry_NH.to(exit_NH.dtype) if spec.placement == "parallel" else exit_NH
    bent_NS = _bend(spec.activation, down_bias_S.addmm(read_NH, down_SH.T))
    return exit_NH + spec.scale * up_bias_H.addmm(bent_NS, up_HS.T)


def _bend(curve: str, x_NS: Tensor) -> Tensor:
    from torch.nn import functional

    if curve == "gelu":
        return functional.gelu(x_NS)
    if curve == "silu":
        return functional.silu(x_NS)
    return x_NS.tanh() if curve == "tanh" else x_NS.relu()


METHODS.add(
    "bottleneck",
    Method(
        name="bottleneck",
        site="block",
        spec=BottleneckSpec,
        source="https://arxiv.org/abs/1902.00751",
        shapes=shapes,
        init=init,
        act=act,
    ),
)
