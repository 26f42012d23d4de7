"""Facts about a base that need no weights: its linear layers, their roles, shapes and depths."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


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
class BaseFacts:
    """What the config alone tells.

    Attributes:
        context_tokens: longest input the positions allow; None when the config sets no limit.
        num_params: all parameters of the base, tied ones once.
        fused: parameters that hold the weights of several linear layers at once (experts), which no place stands for.
    """

    architecture: str
    num_layers: int
    hidden_size: int
    vocab_size: int
    context_tokens: int | None
    num_params: int
    places: tuple[LinearPlace, ...]
    fused: tuple[str, ...] = ()

    @property
    def by_name(self) -> Mapping[str, LinearPlace]:
        """The linear layers by name."""
        return {place.name: place for place in self.places}


def layer_of(name: str) -> int | None:
    """The first whole number between dots: the index of the layer.

    >>> layer_of("model.layers.12.mlp.experts.3.w1"), layer_of("lm_head")
    (12, None)
    """
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return int(found.group(1)) if found else None
