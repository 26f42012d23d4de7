"""Which layers of a base an adapter attaches to: by role, by name and by depth. Pure."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.base.facts import BaseFacts, LinearPlace
from graftwork.base.roles import ALIASES, ROLE_IN_CONTEXT, ROLE_OF_LEAF, has_role
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec

KNOWN_ROLES = {*ALIASES, *ROLE_OF_LEAF.values(), *(role for _, role in ROLE_IN_CONTEXT)}
CLOSED_ROLES = ("head", "router")
"""Not adaptable at the linear site: the head is applied to chosen tokens alone, a router's choice is no smooth
function."""


class LayerSpan(Spec):
    """A contiguous share of the stack."""

    start_frac: float = Field(default=0.0, ge=0, le=1)
    """Where it begins: 0 is the bottom of the stack."""

    end_frac: float = Field(default=1.0, ge=0, le=1)
    """Where it ends: 1 is the top of the stack."""

    @model_validator(mode="after")
    def _is_not_empty(self) -> "LayerSpan":
        if self.start_frac >= self.end_frac:
            raise SpecError([Problem("start_frac", self.start_frac, f"less than end_frac = {self.end_frac}")])
        return self


def _form(value: object) -> str:
    return "a span" if isinstance(value, Mapping | LayerSpan) else "a list"


class LinearSpec(Spec):
    """What every method at linear layers is asked."""

    targets: tuple[str, ...] = Field(default=("all",), min_length=1)
    """Layers to adapt: roles (all, attention, attention.qkv, attention.out, mlp, experts) or names (q_proj, *.fc1)."""

    layers: (
        Annotated[
            Annotated[tuple[int, ...], Field(min_length=1), Tag("a list")] | Annotated[LayerSpan, Tag("a span")],
            Discriminator(_form),
        ]
        | None
    ) = None
    """Depths to adapt: a list of layer numbers (-1 is the top) or {start_frac, end_frac}. Absent: all of them."""


def select(spec: LinearSpec, facts: BaseFacts) -> tuple[LinearPlace, ...]:
    """The places that `spec` asks for, in the base's order.

    Raises:
        SpecError: a target or a layer number matches nothing, or a target names a layer that cannot be adapted here.
    """
    matched = {target: [p for p in facts.places if _meets(p, target)] for target in spec.targets}
    problems = [p for target, places in matched.items() for p in _problems(target, places, facts)]
    problems += _layer_problems(spec, facts)
    wanted = {place.name for places in matched.values() for place in places}
    at_depth = [p for p in facts.places if p.name in wanted and _is_at_depth(p, spec, facts.num_layers)]
    if not problems and not at_depth:
        problems = [Problem("adapter.layers", spec.model_dump(mode="json")["layers"], "layers that hold a target")]
    if problems:
        raise SpecError(problems)
    return tuple(at_depth)


def _meets(place: LinearPlace, target: str) -> bool:
    if target in KNOWN_ROLES:
        return has_role(place.role, target)
    return place.name == target or place.name.endswith(f".{target}") or fnmatchcase(place.name, target)


def _problems(target: str, places: list[LinearPlace], facts: BaseFacts) -> Iterator[Problem]:
    if not places:
        leaves = sorted({place.name.rpartition(".")[2] for place in facts.places if place.role not in CLOSED_ROLES})
        roles = sorted({place.role for place in facts.places if place.role not in CLOSED_ROLES})
        offered = [*leaves, *roles, *(a for a in ALIASES if any(has_role(role, a) for role in roles))]
        near = get_close_matches(target, dict.fromkeys(offered), n=2)
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        hint += f"Roles here: {', '.join(roles)}. Names here: {', '.join(leaves)}."
        yield Problem("adapter.targets", target, "a role or name that matches a linear layer of this base", hint)
    if facts.fused and target in ("all", "experts"):
        hint = f"This base keeps its experts in fused tensors ({facts.fused[0]}), which no method here reaches yet."
        yield Problem("adapter.targets", target, "attention, or names of linear layers", hint)
    closed = {place.role for place in places if place.role in CLOSED_ROLES}
    for role in sorted(closed):
        yield Problem("adapter.targets", target, f"layers that can be adapted; this matches the base's {role}")


def _layer_problems(spec: LinearSpec, facts: BaseFacts) -> Iterator[Problem]:
    if isinstance(spec.layers, tuple):
        for layer in spec.layers:
            if not -facts.num_layers <= layer < facts.num_layers:
                yield Problem("adapter.layers", layer, f"a layer of this base, 0 to {facts.num_layers - 1}")


def _is_at_depth(place: LinearPlace, spec: LinearSpec, num_layers: int) -> bool:
    if spec.layers is None:
        return True
    if place.layer is None:
        return False
    if isinstance(spec.layers, tuple):
        return place.layer in {layer % num_layers for layer in spec.layers}
    return round(spec.layers.start_frac * num_layers) <= place.layer < round(spec.layers.end_frac * num_layers)
