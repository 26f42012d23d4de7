"""IA3: keys, values and the inner activations of the feed-forward network, each multiplied by a trained number.

    y = l * (x W^T + bias)        where keys and values are made
    y = (l * x) W^T + bias        where the inner activations come in

Legend: I in features, O out features.

Source: Liu et al. 2022, https://arxiv.org/abs/2205.05638, section 3.3.
Departs from it: where one layer makes queries, keys and values together, all that it makes is multiplied, the queries
too (as PEFT does by default).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from graftwork.adapters.form import Frozen, LinearForm, Memo
from graftwork.adapters.method import METHODS, Method, Params, Shapes
from graftwork.adapters.targets import KNOWN_ROLES, LinearSpec
from graftwork.base.facts import LinearPlace
from graftwork.base.roles import has_role
from graftwork.core.errors import Problem, SpecError, did_you_mean

if TYPE_CHECKING:
    from torch import Generator

    from graftwork.base.facts import Place

ROLES = sorted({*KNOWN_ROLES, *(role.replace("mlp.", "experts.") for role in KNOWN_ROLES), "other", "experts.other"})


class Ia3Spec(LinearSpec):
    """A request for IA3."""

    method: Literal["ia3"] = "ia3"
    """Says which method this is."""

    targets: tuple[str, ...] = Field(
        default=("attention.kv", "mlp.down"), min_length=1, examples=[["mlp.down"], ["q_proj", "k_proj"]]
    )
    """Layers to adapt: roles (attention.kv is whatever makes keys or values, mlp, all) or names (k_proj, *.fc2)."""

    feedforward: tuple[str, ...] = Field(
        default=("mlp.down", "experts.down"), examples=[["attention"], ["mlp.down", "attention.v"]]
    )
    """Roles whose layers have their inputs multiplied; all others have their outputs. The default is usual."""

    @model_validator(mode="after")
    def _feedforward_are_roles(self) -> Ia3Spec:
        unknown = [role for role in self.feedforward if role not in ROLES]
        if unknown:
            raise SpecError(Problem("feedforward", role, "a role of layers", _nearest(role)) for role in unknown)
        return self


def shapes(spec: Ia3Spec, place: Place) -> Shapes:
    """A number for each input, or for each output."""
    assert isinstance(place, LinearPlace)
    return {"gain_I": (place.in_features,)} if gains_input(spec, place) else {"gain_O": (place.out_features,)}


def init(spec: Ia3Spec, frozen: Frozen, generator: Generator) -> Params:
    """Ones: a fresh adapter changes nothing."""
    import torch

    out_features, in_features = frozen.weight.shape
    return (
        {"gain_I": torch.ones(in_features)} if gains_input(spec, frozen.place) else {"gain_O": torch.ones(out_features)}
    )


def act(spec: Ia3Spec, params: Params, frozen: Frozen, memo: Memo) -> LinearForm:
    """The gains themselves."""
    return LinearForm(gain_O=params.get("gain_O"), gains_bias=True, input_gain_I=params.get("gain_I"))


def gains_input(spec: Ia3Spec, place: Place) -> bool:
    """Whether `place` has its inputs multiplied."""
    return any(has_role(place.role, role) for role in spec.feedforward)


def _nearest(role: str) -> str:
    return did_you_mean(role, ROLES) or f"There are: {', '.join(ROLES)}."


METHODS.add(
    "ia3",
    Method(
        name="ia3",
        site="linear",
        spec=Ia3Spec,
        source="https://arxiv.org/abs/2205.05638",
        shapes=shapes,
        init=init,
        act=act,
        gains_input=gains_input,
    ),
)
