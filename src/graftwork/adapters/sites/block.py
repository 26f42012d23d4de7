"""The block site: what a sub-layer gives, before it is added to the residual stream.

The sub-layer's input is remembered at its entry, for methods that act beside the sub-layer and not after it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graftwork.adapters.sites.hook import HOOKS, Hook
from graftwork.base.facts import BlockPlace

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Share
    from graftwork.base.facts import Place


def attach(bank: AdapterBank, place: Place) -> list[RemovableHandle]:
    """Hooks at the sub-layer's entry and exit."""
    assert isinstance(place, BlockPlace)
    return [
        bank.module(place.entry).register_forward_pre_hook(partial(_enter, bank, place), with_kwargs=True),
        bank.module(place.exit).register_forward_hook(partial(_leave, bank, place)),
    ]


def _enter(
    bank: AdapterBank, place: BlockPlace, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
) -> None:
    route = bank.route_now()
    if kwargs is not None and route is not None and any(_acting(share) for share in route.at(place.name)):
        route.scratch[place.name] = args[0] if args else kwargs["hidden_states"]


def _leave(bank: AdapterBank, place: BlockPlace, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    route = bank.route_now()
    shares = route.at(place.name) if route else ()
    if route is None or not any(map(_acting, shares)):
        return output
    entry = route.scratch.pop(place.name)
    left = output[0] if isinstance(output, tuple) else output
    entry_NH, left_NH = entry.reshape(-1, place.features), left.reshape(-1, place.features)
    per_unit = route.tokens_per_unit(entry.shape, place.name)
    pieces = []
    for share in shares:
        rows = slice(share.start * per_unit, share.end * per_unit)
        y_NH: Tensor = left_NH[rows]
        for placed in _acting(share):
            y_NH = placed.method.act(placed.spec, placed.params, entry_NH[rows], y_NH)
        pieces.append(y_NH)
    whole = (pieces[0] if len(pieces) == 1 else torch.cat(pieces)).view(left.shape)
    return (whole, *output[1:]) if isinstance(output, tuple) else whole


def _acting(share: Share) -> list[Placed]:
    """What acts here: a prefix in front of the same attention module has its own hook."""
    return [placed for placed in share.placed if placed.method.site == "block"]


HOOKS.add("block", Hook(name="block", attach=attach))
