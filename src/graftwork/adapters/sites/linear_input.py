"""Input gains at linear layers: a hook before the base's own layer, and before any other of ours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graftwork.adapters.sites.hook import HOOKS, Hook

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.facts import Place


def attach(bank: AdapterBank, place: Place) -> list[RemovableHandle]:
    """A hook before the layer, before any other of ours: what else looks at the input sees it with the gains on it,
    whichever adapter was put in first."""
    return [bank.module(place.name).register_forward_pre_hook(partial(_before, bank, place), prepend=True)]


def _before(bank: AdapterBank, place: Place, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    route = bank.route_now()
    shares = route.at(place.name) if route else ()
    if route is None or not any(placed.method.gains_input(placed.spec, place) for s in shares for placed in s.placed):
        return None
    x = args[0]
    x_NI = x.reshape(-1, x.shape[-1])
    per_unit = route.tokens_per_unit(x.shape, place.name)
    pieces = []
    for share in shares:
        piece_NI = x_NI[share.start * per_unit : share.end * per_unit]
        for placed in share.placed:
            gain_I = placed.form(bank.frozen(place)).input_gain_I
            piece_NI = piece_NI if gain_I is None else (piece_NI * gain_I).to(x.dtype)
        pieces.append(piece_NI)
    whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return (whole.view(x.shape), *args[1:])


HOOKS.add("linear_input", Hook(name="linear_input", attach=attach))
