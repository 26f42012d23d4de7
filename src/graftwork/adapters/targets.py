"""Which layers of a base an adapter attaches to: by role, by name and by depth. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from graftwork.base.facts import BaseFacts, BlockPlace, ExpertsPlace, LinearPlace, Place
from graftwork.base.roles import ALIASES, ROLE_IN_CONTEXT, ROLE_OF_LEAF, has_role
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec

if TYPE_CHECKING:
    from graftwork.adapters.method import Method

NAMED_ROLES = {*ROLE_OF_LEAF.values(), *(role for _, role in ROLE_IN_CONTEXT)}
KNOWN_ROLES = {*ALIASES, *NAMED_ROLES, *(role.replace("mlp.", "experts.") for role in NAMED_ROLES)}
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
    def _is_not_empty(self) -> LayerSpan:
        if self.start_frac >= self.end_frac:
            raise SpecError([Problem("start_frac", self.start_frac, f"less than end_frac = {self.end_frac}")])
        return self


def _form(value: object) -> str:
    return "a span" if isinstance(value, Mapping | LayerSpan) else "a list"


Layers = (
    Annotated[
        Annotated[tuple[int, ...], Field(min_length=1), Tag("a list")] | Annotated[LayerSpan, Tag("a span")],
        Discriminator(_form),
    ]
    | None
)
"""Depths: a list of layer numbers, or a span."""


class LinearSpec(Spec):
    """What every method at linear layers is asked."""

    targets: tuple[str, ...] = Field(default=("all",), min_length=1, examples=[["mlp"], ["q_proj"]])
    """Layers to adapt: roles (all, attention, attention.qkv, attention.out, mlp, experts) or names (q_proj, *.fc1)."""

    layers: Layers = Field(default=None, examples=[[0], {"start_frac": 0.5}])
    """Depths to adapt: a list of layer numbers (-1 is the top) or {start_frac, end_frac}. Absent: all of them."""


class BlockSpec(Spec):
    """What every method at sub-layers is asked."""

    after: tuple[Literal["attention", "cross_attention", "mlp"], ...] = Field(
        default=("attention", "mlp"), min_length=1, examples=[["mlp"], ["attention"]]
    )
    """Sub-layers to adapt: attention, mlp, and cross_attention where the base has it."""

    layers: Layers = Field(default=None, examples=[[0], {"start_frac": 0.5}])
    """Depths to adapt: a list of layer numbers (-1 is the top) or {start_frac, end_frac}. Absent: all of them."""


class CacheSpec(Spec):
    """What every method at the attention cache is asked: it acts in every layer."""

    positions: int = Field(default=30, ge=1, le=65536)
    """Keys and values in front of the tokens, in every layer; they shorten the context. 10 to 100 are usual."""


class EmbeddingSpec(Spec):
    """What every method at the input embeddings is asked: there is one table."""

    positions: int = Field(default=20, ge=1, le=65536)
    """Soft tokens in front of the tokens; they shorten the context. 5 to 100 are usual."""


SELECTIONS: tuple[type[Spec], ...] = (LinearSpec, BlockSpec)
"""Specs whose fields say where, not what."""


def select(spec: Spec, method: Method, facts: BaseFacts) -> tuple[Place, ...]:
    """The places that `spec` asks for, in the base's order.

    Raises:
        SpecError: a target or a layer number matches nothing, or a target names a layer that cannot be adapted here.
    """
    if isinstance(spec, LinearSpec):
        return _select_linear(spec, method, facts)
    if isinstance(spec, BlockSpec):
        return _select_blocks(spec, facts)
    found = facts.at(method.site)
    if not found or (method.site != "block" and not facts.is_causal):
        hint = "It needs a language model whose tokens see no later ones, all layers with keys of one form."
        raise SpecError([Problem("adapter.method", method.name, "a method that this base allows", hint)])
    return found


def _select_linear(spec: LinearSpec, method: Method, facts: BaseFacts) -> tuple[Place, ...]:
    everything = _reached(method, facts)
    matched = {target: [p for p in everything if _meets(p, target)] for target in spec.targets}
    unreached = set(facts.fused) - {p.name for p in everything}
    problems = [p for target, places in matched.items() for p in _problems(target, places, facts, method, unreached)]
    problems += _layer_problems(spec.layers, facts)
    wanted = {place.name for places in matched.values() for place in places}
    at_depth = [p for p in everything if p.name in wanted and _is_at_depth(p, spec.layers, facts.num_layers)]
    if not problems and not at_depth:
        problems = [Problem("adapter.layers", spec.model_dump(mode="json")["layers"], "layers that hold a target")]
    if problems:
        raise SpecError(problems)
    return tuple(at_depth)


def _reached(method: Method, facts: BaseFacts) -> tuple[LinearPlace | ExpertsPlace, ...]:
    return (*facts.places, *(facts.experts if method.experts else ()))


def _select_blocks(spec: BlockSpec, facts: BaseFacts) -> tuple[BlockPlace, ...]:
    roles = sorted({block.role for block in facts.blocks})
    problems = [
        Problem("adapter.after", role, f"a sub-layer of this base: {', '.join(roles) or 'none was recognised'}")
        for role in spec.after
        if role not in roles
    ]
    problems += _layer_problems(spec.layers, facts)
    chosen = [b for b in facts.blocks if b.role in spec.after and _is_at_depth(b, spec.layers, facts.num_layers)]
    if not problems and not chosen:
        problems = [Problem("adapter.layers", spec.model_dump(mode="json")["layers"], "layers that hold a sub-layer")]
    if problems:
        raise SpecError(problems)
    return tuple(chosen)


def _meets(place: LinearPlace | ExpertsPlace, target: str) -> bool:
    if target in KNOWN_ROLES:
        return has_role(place.role, target)
    return is_named(place.name, target)


def is_named(name: str, wanted: str) -> bool:
    """Whether the layer called `name` is meant by `wanted`: its name, the end of it, or a pattern.

    >>> [is_named("layers.0.mlp.fc1", wanted) for wanted in ("fc1", "*.mlp.*", "layers.0.mlp.fc1", "c1")]
    [True, True, True, False]
    """
    return name == wanted or name.endswith(f".{wanted}") or fnmatchcase(name, wanted)


def _problems(
    target: str, places: list[LinearPlace | ExpertsPlace], facts: BaseFacts, method: Method, unreached: set[str]
) -> Iterator[Problem]:
    if not places:
        open_places = [place for place in _reached(method, facts) if place.role not in CLOSED_ROLES]
        leaves = sorted({place.name.rpartition(".")[2] for place in open_places})
        roles = sorted({place.role for place in open_places})
        offered = [*leaves, *roles, *(a for a in ALIASES if any(has_role(role, a) for role in roles))]
        near = get_close_matches(target, dict.fromkeys(offered), n=2)
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        hint += f"Roles here: {', '.join(roles)}. Names here: {', '.join(leaves)}."
        yield Problem("adapter.targets", target, "a role or name that matches a linear layer of this base", hint)
    if unreached and target in ("all", "experts"):
        hint = f"This base keeps its experts in fused tensors ({min(unreached)}), which {method.name} does not reach."
        yield Problem("adapter.targets", target, "attention, or names of linear layers", hint)
    closed = {place.role for place in places if place.role in CLOSED_ROLES}
    for role in sorted(closed):
        yield Problem("adapter.targets", target, f"layers that can be adapted; this matches the base's {role}")


def _layer_problems(layers: tuple[int, ...] | LayerSpan | None, facts: BaseFacts) -> Iterator[Problem]:
    if isinstance(layers, tuple):
        for layer in layers:
            if not -facts.num_layers <= layer < facts.num_layers:
                yield Problem("adapter.layers", layer, f"a layer of this base, 0 to {facts.num_layers - 1}")


def _is_at_depth(place: Place, layers: tuple[int, ...] | LayerSpan | None, num_layers: int) -> bool:
    if layers is None:
        return True
    if place.layer is None:
        return False
    if isinstance(layers, tuple):
        return place.layer in {layer % num_layers for layer in layers}
    return round(layers.start_frac * num_layers) <= place.layer < round(layers.end_frac * num_layers)
