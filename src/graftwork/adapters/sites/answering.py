"""Answers at linear layers, without gradients: the factors of a route's adapters side by side, kept in the route.

A loop that answers token after token under one route makes them once. What they were made from is watched: a tensor
that is changed in place while the route is in force is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graftwork.adapters.grouped import Side, first_products, is_side_by_side, second_product, side

if TYPE_CHECKING:
    from graftwork.adapters.form import Frozen
    from graftwork.adapters.route import Route, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """Layers with the same input, as a route's adapters change them.

    Attributes:
        sides: by the layer's name.
        down_SI: of all layers, one after another.
        is_others_NS: columns of other tokens' adapters, of all layers; None if there are none.
        watched: all tensors that it was made from, with their versions then.
    """

    sides: dict[str, Side]
    down_SI: Tensor
    is_others_NS: Tensor | None
    watched: list[Tensor]
    versions: list[int]

    @property
    def holds(self) -> bool:
        """Whether every tensor is as it was."""
        return [tensor._version for tensor in self.watched] == self.versions


def answered(route: Route, frozen: Frozen, x: Tensor, base_NO: Tensor, beside: Sequence[Frozen]) -> Tensor | None:
    """The layer's output for a whole batch; None where its segments are better answered one by one."""
    name = frozen.place.name
    key = name, base_NO.shape[0], base_NO.dtype
    waiting = route.scratch.get("waiting")
    if waiting is not None and waiting.of(x) and key in waiting.products:
        kept, z_NS = waiting.together, waiting.products.pop(key)
        return second_product(base_NO, z_NS, kept.sides[name], route.num_units)
    kept = route.scratch.get(key)
    if kept is None or (kept and not kept.holds):
        kept = route.scratch[key] = _planned(route, frozen, x.shape[-1], base_NO, beside)
    if not kept:
        return None
    products = first_products(x.reshape(-1, x.shape[-1]).to(base_NO.dtype), kept.down_SI, kept.is_others_NS)
    if len(kept.sides) == 1:
        return second_product(base_NO, products, kept.sides[name], route.num_units)
    widths = [one.down_SI.shape[0] for one in kept.sides.values()]
    pieces = zip(kept.sides, products.split(widths, dim=1), strict=True)
    by_key = {(other, *key[1:]): z_NS for other, z_NS in pieces}
    z_NS = by_key.pop(key)
    route.scratch["waiting"] = Waiting(x, by_key, kept)
    return second_product(base_NO, z_NS, kept.sides[name], route.num_units)


class Waiting:
    """First products for layers that have not been asked yet, and the input that they were made from."""

    __slots__ = ("products", "together", "version", "x")

    def __init__(self, x: Tensor, products: dict[Any, Tensor], together: Together) -> None:
        self.x, self.products, self.together = x, products, together
        self.version = _version(x)

    def of(self, x: Tensor) -> bool:
        """Whether `x` is that input, unchanged."""
        return self.x is x and self.version == _version(x)


def _planned(route: Route, frozen: Frozen, features: int, base_NO: Tensor, beside: Sequence[Frozen]) -> Any:
    """The factors side by side, False where segments are answered one by one.

    The first of the layers beside each other makes them for all; one that comes later, with another input, for itself.
    """
    num_tokens, dtype = base_NO.shape[0], base_NO.dtype
    found: dict[str, Side] = {}
    watched: list[Tensor] = []
    versions: list[int] = []
    for one in beside if frozen is beside[0] else [frozen]:
        shares = route.at(one.place.name)
        if not shares or _own_way(shares, num_tokens, route):
            continue
        wide = features + one.weight.shape[0]
        owners = len({id(placed) for share in shares for placed in share.placed})
        if not is_side_by_side(len(shares), num_tokens, owners, wide):
            continue  # not even with ranks of 1
        tensors = [t for share in shares for placed in share.placed for t in placed.params.values()]
        seen = [_version(tensor) for tensor in tensors]
        made = side(shares, one, dtype)
        if made is not None and is_side_by_side(len(shares), num_tokens, made.down_SI.shape[0], wide):
            found[one.place.name] = made
            watched += tensors
            versions += seen
    if frozen.place.name not in found:
        return False
    return _together(found, num_tokens // route.num_units, watched, versions)


def _together(found: dict[str, Side], per_unit: int, watched: list[Tensor], versions: list[int]) -> Together:
    down_SI = torch.cat([one.down_SI for one in found.values()])
    views = down_SI.split([one.down_SI.shape[0] for one in found.values()])
    masks = [one.is_others_US for one in found.values()]
    units = next((mask.shape[0] for mask in masks if mask is not None), 0)
    filled = [
        torch.zeros(units, view.shape[0], dtype=torch.bool, device=view.device) if mask is None else mask
        for mask, view in zip(masks, views, strict=True)
    ]
    tracked = [(t, v) for t, v in zip(watched, versions, strict=True) if not t.is_inference()]
    return Together(
        sides={name: replace(one, down_SI=view) for (name, one), view in zip(found.items(), views, strict=True)},
        down_SI=down_SI,
        is_others_NS=torch.cat(filled, dim=1).repeat_interleave(per_unit, dim=0) if units else None,
        watched=[tensor for tensor, _ in tracked],
        versions=[version for _, version in tracked],
    )


def _own_way(shares: Sequence[Share], num_tokens: int, route: Route) -> bool:
    """Whether an adapter has dropout to do, or a faster way over many tokens than its factors."""
    placed = [one for share in shares for one in share.placed]
    drops = route.training and any(getattr(one.spec, "dropout", 0) for one in placed)
    return drops or (num_tokens > route.num_units and any(one.method.run for one in placed))


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
