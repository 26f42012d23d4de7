"""Facts about a base that need no weights: where an adapter could attach, and what holds there."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Site = Literal["linear", "block", "attention_cache", "input_embedding", "experts"]

Quantised = Literal["off", "int8", "int4"]
"""How the linear layers of a base are kept in memory: as they are, or in 8 or 4 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearPlace:
    """One linear layer of the base.

    Attributes:
        name: dotted module name.
        role: what it is for, as `base.roles` says.
        layer: index of its transformer layer from the bottom, None outside the stack.
    """

    name: str
    role: str
    in_features: int
    out_features: int
    layer: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockPlace:
    """One sub-layer of the base: what lies between two residual sums.

    Attributes:
        name: dotted name of the module that holds it.
        role: attention, cross_attention or mlp.
        entry: module whose input is the sub-layer's input.
        exit: module whose output is the sub-layer's output.
        features: of its input and output.
    """

    name: str
    role: str
    entry: str
    exit: str
    features: int
    layer: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionPlace:
    """One self-attention module of the base.

    Attributes:
        name: dotted module name.
        key_heads: heads of keys and values; fewer than those of queries when they are shared.
        head_dim: numbers of one head's key, and of its value.
    """

    name: str
    role: str
    key_heads: int
    head_dim: int
    layer: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingPlace:
    """The table of input embeddings.

    Attributes:
        name: dotted module name.
        rows: tokens it has vectors for.
    """

    name: str
    role: str
    rows: int
    features: int
    layer: None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertsPlace:
    """One projection of all experts of a layer, in one fused tensor.

    Attributes:
        name: dotted parameter name.
        role: experts.gate_up, experts.up or experts.down.
        module: dotted name of the module of experts.
        parameter: name of the tensor in that module.
        transposed: whether it is stored as (experts, in, out) instead of (experts, out, in).
    """

    name: str
    role: str
    module: str
    parameter: str
    num_experts: int
    in_features: int
    out_features: int
    transposed: bool
    layer: int | None


SAME_INPUT = (("attention.q", "attention.k", "attention.v"), ("mlp.gate", "mlp.up"))
"""Roles of layers that usually see the same input."""

Place = LinearPlace | BlockPlace | AttentionPlace | EmbeddingPlace | ExpertsPlace


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFacts:
    """What the config alone tells.

    Attributes:
        context_tokens: longest input the positions allow; None when the config sets no limit.
        num_params: all parameters of the base, tied ones once.
        places: its linear layers.
        attentions: self-attention modules whose keys and values all have one form; empty when they differ.
        fused: parameters that hold the weights of several linear layers at once (experts).
        experts: of those, the ones whose form is known.
        num_active_experts: experts that answer for one token; 1 without experts.
        is_causal: whether no token sees a later one.
    """

    architecture: str
    num_layers: int
    hidden_size: int
    vocab_size: int
    context_tokens: int | None
    num_params: int
    places: tuple[LinearPlace, ...]
    blocks: tuple[BlockPlace, ...] = ()
    attentions: tuple[AttentionPlace, ...] = ()
    embeddings: tuple[EmbeddingPlace, ...] = ()
    experts: tuple[ExpertsPlace, ...] = ()
    fused: tuple[str, ...] = ()
    num_active_experts: int = 1
    is_causal: bool = True

    def at(self, site: Site) -> tuple[Place, ...]:
        """The places of a site, in the base's order."""
        found: dict[Site, tuple[Place, ...]] = {
            "linear": self.places,
            "block": self.blocks,
            "attention_cache": self.attentions,
            "input_embedding": self.embeddings,
            "experts": self.experts,
        }
        return found[site]

    @property
    def by_name(self) -> Mapping[str, LinearPlace]:
        """The linear layers by name."""
        return {place.name: place for place in self.places}


def same_input(places: Iterable[LinearPlace]) -> list[tuple[LinearPlace, ...]]:
    """Linear layers that usually see the same input together: queries, keys and values; gate and up.

    From their names; whether they do is for who computes to see.
    """
    found: dict[tuple[object, ...], list[LinearPlace]] = {}
    for place in places:
        kind = next((kind for kind in SAME_INPUT if place.role in kind), (place.name,))
        found.setdefault((place.name.rpartition(".")[0], kind, place.in_features), []).append(place)
    return [tuple(together) for together in found.values()]


def layer_of(name: str) -> int | None:
    """The first whole number between dots: the index of the layer.

    >>> layer_of("model.layers.12.mlp.experts.3.w1"), layer_of("lm_head")
    (12, None)
    """
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return int(found.group(1)) if found else None
