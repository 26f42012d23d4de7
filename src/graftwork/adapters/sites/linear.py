"""The linear site: a forward hook on the base's own layer, nn.Linear and GPT-2's Conv1D alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from graftwork.adapters.form import Frozen, LinearForm
from graftwork.adapters.sites.hook import HOOKS, Hook

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Route
    from graftwork.base.facts import Place


def attach(bank: AdapterBank, place: Place) -> list[RemovableHandle]:
    """A hook after the layer, before any other of ours."""
    return [bank.module(place.name).register_forward_hook(partial(_after, bank, place), prepend=True)]


def _after(bank: AdapterBank, place: Place, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    route = bank.route_now()
    return output if route is None else linear_output(route, bank.frozen(place), args[0], output)


def linear_output(route: Route, frozen: Frozen, x: Tensor, base: Tensor) -> Tensor:
    """What the linear layer gives when each segment of `route` has its own adapters, or none.

    Args:
        x: input of the layer, features last.
        base: what the frozen layer gave for it.
    """
    shares = route.at(frozen.place.name)
    if not shares:
        return base
    x_NI, base_NO = x.reshape(-1, x.shape[-1]), base.reshape(-1, base.shape[-1])
    per_unit = route.tokens_per_unit(x.shape, frozen.place.name)
    pieces = []
    for share in shares:
        rows = slice(share.start * per_unit, share.end * per_unit)
        y_NO = base_NO[rows]
        for placed in share.placed:
            y_NO = adapted(placed, frozen, x_NI[rows], y_NO, training=route.training)
        pieces.append(y_NO)
    whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return whole.view(base.shape)


def adapted(placed: Placed, frozen: Frozen, x_NI: Tensor, base_NO: Tensor, *, training: bool) -> Tensor:
    """What one adapter makes of the layer's output, in the type of that output."""
    form = placed.form(frozen)
    y_NO = base_NO
    if form.down_RI is not None:
        x_NI = dropout(x_NI, form.dropout) if training and form.dropout else x_NI
        run = placed.method.run
        y_NO = run(placed.spec, placed.params, x_NI, base_NO) if run else low_rank(form, x_NI, base_NO)
    return gained(form, y_NO, frozen.bias_O)


def low_rank(form: LinearForm, x_NI: Tensor, base_NO: Tensor) -> Tensor:
    """The base's output plus the update; the product of its factors is never formed."""
    assert form.down_RI is not None
    assert form.up_OR is not None
    down_RI, up_OR = form.down_RI.to(x_NI.dtype), form.up_OR.to(x_NI.dtype)
    return base_NO.addmm(x_NI @ down_RI.T, up_OR.T, alpha=form.scale)


def gained(form: LinearForm, y_NO: Tensor, bias_O: Tensor | None) -> Tensor:
    """Each output multiplied by its gain, with or without the layer's bias."""
    if form.gain_O is None:
        return y_NO
    gain_O = form.gain_O.to(y_NO.dtype)
    if bias_O is None or form.gains_bias:
        return y_NO * gain_O
    return (y_NO - bias_O) * gain_O + bias_O


HOOKS.add("linear", Hook(name="linear", attach=attach))
