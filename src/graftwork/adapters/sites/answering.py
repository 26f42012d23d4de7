"""Answers at linear layers, without gradients: the factors of a route's adapters side by side, kept in the route.

A loop that answers token after token under one route makes them once. What they were made from is watched: a tensor
that is changed in place while the route is in force is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.flat import watched
from graftwork.adapters.grouped import Side, gained, side
from graftwork.adapters.row_products import FASTEST, WAYS, Rows, Second, Way, Work

if TYPE_CHECKING:
    from graftwork.adapters.form import Frozen
    from graftwork.adapters.route import Route, Share


class Together:
    """Layers with the same input, as a route's adapters change them, and first products that wait for their layers.

    Attributes:
        watched: all tensors that it was made from, with their versions then. Of tensors that are parts of one, which
            count changes together, that one.
    """

    __slots__ = ("_layers", "_pending", "_rows", "_version", "_x", "_z_NZ", "versions", "watched")

    def __init__(self, layers: frozenset[str], rows: Rows, watched: list[Tensor], versions: list[int]) -> None:
        self._layers, self._rows, self.watched, self.versions = layers, rows, watched, versions
        self._x: Tensor | None = None
        self._z_NZ: Tensor | None = None
        self._version = 0
        self._pending: set[str] = set()

    def products(self, layer: str, x: Tensor, dtype: torch.dtype) -> Tensor | None:
        """First products of `x`; None once a tensor has changed.

        The first layer to ask makes them for all; each takes them once.
        """
        if self._x is x and layer in self._pending and self._version == _version(x):
            self._pending.remove(layer)
            if not self._pending:
                self._x = None
            return self._z_NZ
        if [tensor._version for tensor in self.watched] != self.versions:
            return None
        z_NZ = self._rows.first(x if x.dtype == dtype else x.to(dtype))
        if len(self._layers) > 1:
            self._x, self._version, self._z_NZ, self._pending = x, _version(x), z_NZ, {*self._layers} - {layer}
        return z_NZ


class Answer:
    """How one layer is answered for a batch of one shape."""

    __slots__ = ("dtype", "second", "shape", "side", "together")

    def __init__(self, shape: torch.Size, dtype: torch.dtype, together: Together, second: Second, side: Side) -> None:
        self.shape, self.dtype, self.together, self.second, self.side = shape, dtype, together, second, side


def answered(route: Route, layer: str, x: Tensor, base: Tensor) -> Tensor | None:
    """The layer's output for a whole batch, from what `plan` left in the route; None where nothing holds."""
    answer = route.answers.get(layer)
    if answer is None or answer.shape != base.shape or answer.dtype != base.dtype:
        return None
    z_NZ = answer.together.products(layer, x, base.dtype)
    if z_NZ is None:
        return None
    if answer.side.gain_GO is not None:
        base = gained(base, answer.side, route.num_units)
    return answer.second(base, z_NZ)


def plan(route: Route, frozen: Frozen, x: Tensor, base: Tensor, beside: Sequence[Frozen]) -> None:
    """Leave in the route how to answer batches of this shape at a layer; nothing if one by one is better, which is
    remembered too.

    The first of the layers beside each other plans for all; one that comes later, when the tensors have changed, for
    itself.
    """
    better_alone = "alone", frozen.place.name, base.shape, base.dtype
    if better_alone not in route.scratch:
        made = _planned(route, frozen, x.shape[-1], base, beside if frozen is beside[0] else [frozen])
        route.answers.update(made)
        if not made:
            route.scratch[better_alone] = True


def _planned(route: Route, frozen: Frozen, features: int, base: Tensor, beside: Sequence[Frozen]) -> dict[str, Answer]:
    num_tokens = base.numel() // base.shape[-1]
    for way in map(WAYS.__getitem__, FASTEST):
        if not way.takes(base.device, base.dtype):
            continue
        known: dict[int, tuple[Tensor, int]] = {}
        found: dict[str, Side] = {}
        for one in beside:
            seen = {id(tensor): (tensor, _version(tensor)) for tensor in _tensors(route, one)}
            made = _side(route, one, features, num_tokens, base.dtype, way)
            if made is not None:
                found[one.place.name] = made
                known = seen | known  # as they were first
        if frozen.place.name in found:
            return _answers(route, found, way.rows(found, num_tokens), list(known.values()), base)
    return {}


def _answers(
    route: Route, sides: Mapping[str, Side], rows: Rows, seen: Sequence[tuple[Tensor, int]], base: Tensor
) -> dict[str, Answer]:
    tracked = [(tensor, version) for tensor, version in seen if not tensor.is_inference()]
    tensors, versions = [tensor for tensor, _ in tracked], [version for _, version in tracked]
    # one pair of lists for all layers of an adapter: what is read at every layer stays in the processor's cache
    same = route.scratch.setdefault(("watched", *map(id, tensors), *versions), (tensors, versions))
    together = Together(frozenset(sides), rows, *same)
    return {
        layer: Answer(
            torch.Size((*base.shape[:-1], one.up_SO.shape[1])), base.dtype, together, rows.seconds[layer], one
        )
        for layer, one in sides.items()
    }


def _tensors(route: Route, one: Frozen) -> list[Tensor]:
    """What acts at a layer depends on."""
    placed = [here for share in route.at(one.place.name) for here in share.placed]
    return [watched(tensor) for here in placed for tensor in here.params.values()]


def _side(route: Route, one: Frozen, features: int, num_tokens: int, dtype: torch.dtype, way: Way) -> Side | None:
    """What acts at a layer side by side; None where that does not pay or cannot be."""
    shares = route.at(one.place.name)
    if not shares or _own_way(shares, num_tokens, route):
        return None
    per_unit, wide = num_tokens // route.num_units, features + one.weight.shape[0]
    owners = len({id(placed) for share in shares for placed in share.placed})
    owned = sum(share.end - share.start for share in shares if share.placed) * per_unit
    if not way.pays(Work(len(shares), num_tokens, owners, owned, wide)):
        return None  # not even with ranks of 1
    made = side(shares, one, dtype)
    if made is None:
        return None
    own = int((made.own_U2[:, 1] - made.own_U2[:, 0]).sum()) * per_unit
    return made if way.pays(Work(len(shares), num_tokens, made.down_SI.shape[0], own, wide)) else None


def _own_way(shares: Sequence[Share], num_tokens: int, route: Route) -> bool:
    """Whether an adapter has dropout to do, or a faster way over many tokens than its factors."""
    placed = [one for share in shares for one in share.placed]
    drops = route.training and any(getattr(one.spec, "dropout", 0) for one in placed)
    return drops or (num_tokens > route.num_units and any(one.method.run for one in placed))


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
