"""The linear site: a forward hook on the base's own layer, nn.Linear and GPT-2's Conv1D alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graftwork.adapters.drawn import dropped
from graftwork.adapters.form import Frozen, LinearForm
from graftwork.adapters.low_rank import Again, cast, expand, shrink
from graftwork.adapters.sites.answering import answered, plan
from graftwork.adapters.sites.hook import HOOKS, Hook
from graftwork.adapters.sites.inner import inner_of, remember

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Route
    from graftwork.base.facts import Place

Begun = dict[tuple[int, int], tuple[LinearForm, Tensor]]
"""By segment and the identity of what acts at a place: its form and its first product."""


def attach(bank: AdapterBank, place: Place) -> list[RemovableHandle]:
    """A hook after the layer, before any other of ours."""
    return [bank.module(place.name).register_forward_hook(partial(_after, bank, place), prepend=True)]


def _after(bank: AdapterBank, place: Place, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    route = bank.route_now()
    if route is not None and route.table is not None:
        return route.table.answer(place.name, args[0], output)
    if route is None or not route.at(place.name):
        return output
    if not torch.is_grad_enabled() and (known := answered(route, place.name, args[0], output)) is not None:
        return known
    again = inner_of(bank, route, place, args[0])
    whole = linear_output(route, bank.frozen(place), args[0], output, bank.beside(place), again)
    remember(bank, route, place, whole)
    return whole


def linear_output(
    route: Route,
    frozen: Frozen,
    x: Tensor,
    base: Tensor,
    beside: Sequence[Frozen] = (),
    again: Again | None = None,
) -> Tensor:
    """What the linear layer gives when each segment of `route` has its own adapters, or none.

    Args:
        x: input of the layer, features last.
        base: what the frozen layer gave for it.
        beside: layers that usually see the same input, this one among them.
        again: how to make `x` again in the backward pass instead of keeping it.
    """
    shares = route.at(frozen.place.name)
    if not shares:
        return base
    base_NO = base.reshape(-1, base.shape[-1])
    per_unit = route.tokens_per_unit(x.shape, frozen.place.name)
    if not torch.is_grad_enabled():
        plan(route, frozen, x, base, beside or (frozen,))
        if (whole := answered(route, frozen.place.name, x, base)) is not None:
            return whole
    lengths = [(share.end - share.start) * per_unit for share in shares]
    begun = _begun(route, frozen, x, base.dtype, beside, lengths)
    xs = _cut(x.reshape(-1, x.shape[-1]), lengths)
    pieces = []
    for number, (share, y_NO) in enumerate(zip(shares, _cut(base_NO, lengths), strict=True)):
        for placed in share.placed:
            if (number, id(placed)) in begun:
                y_NO = _finished(placed, begun.pop((number, id(placed))), frozen, y_NO)
            else:
                alone = again if len(shares) == 1 else None
                y_NO = adapted(placed, frozen, xs[number], y_NO, route, number, alone)
        pieces.append(y_NO)
    whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return whole.view(base.shape)


def _cut(tensor: Tensor, lengths: list[int]) -> Sequence[Tensor]:
    """Rows of each share. In the backward pass their gradients are put together in one go."""
    whole = len(lengths) == 1 and lengths[0] >= tensor.shape[0]  # gathered tokens may be fewer
    return (tensor,) if whole else tensor.split(lengths)


def adapted(
    placed: Placed,
    frozen: Frozen,
    x_NI: Tensor,
    base_NO: Tensor,
    route: Route,
    segment: int,
    again: Again | None = None,
) -> Tensor:
    """What one adapter makes of the layer's output in a segment, in the type of that output."""
    form = placed.form(frozen)
    y_NO = base_NO
    if form.down_RI is not None:
        if route.training and form.dropout:
            told = f"{placed.part}:{frozen.place.name}"
            x_NI, again = dropped(x_NI, form.dropout, route.draw(segment, told, x_NI.device)), None
        run = placed.method.run
        if run:
            y_NO = run(placed.spec, placed.params, x_NI, base_NO)
        else:
            (z_NR,) = _first([placed], [form], x_NI, base_NO.dtype, again)
            return _finished(placed, (form, z_NR), frozen, base_NO)
    return gained(form, y_NO, frozen.bias_O)


def _first(
    placed: Sequence[Placed],
    forms: Sequence[LinearForm],
    x_NI: Tensor,
    dtype: torch.dtype,
    again: Again | None = None,
) -> tuple[Tensor, ...]:
    downs = [form.down_RI for form in forms if form.down_RI is not None]
    casts = [cast(down_RI, dtype, "down", here.memo) for here, down_RI in zip(placed, downs, strict=True)]
    return shrink(x_NI, downs, casts, again)


def _finished(placed: Placed, begun: tuple[LinearForm, Tensor], frozen: Frozen, base_NO: Tensor) -> Tensor:
    """The output from the first product on; the product of the factors is never formed."""
    form, z_NR = begun
    assert form.up_OR is not None
    up_OR = form.up_OR
    y_NO = expand(base_NO, z_NR, up_OR, cast(up_OR, base_NO.dtype, "up", placed.memo), form.scale)
    return gained(form, y_NO, frozen.bias_O)


def _begun(
    route: Route, frozen: Frozen, x: Tensor, dtype: torch.dtype, beside: Sequence[Frozen], lengths: list[int]
) -> Begun:
    """First products of the adapted layers beside this one, made in one for each segment when the first is asked. Kept
    in the route until each layer has taken its own; whether their inputs really are one and
    the same tensor is seen each time.

    Nothing depends on what came before: a recomputed forward pass must make its products as the first one did.
    """
    if len(beside) < 2:
        return {}
    together = _together(route, beside)
    if not together:
        return {}
    if frozen is together[0]:
        begun = _begin(route, x, dtype, together, lengths)
        route.scratch["begun"] = together, x, begun, _version(x)
        return begun
    kept = route.scratch.get("begun")
    if kept is None or kept[0] is not together:
        return {}
    if frozen is together[-1]:
        del route.scratch["begun"]  # the last to take its own
    return kept[2] if kept[1] is x and kept[3] == _version(x) else {}


def _together(route: Route, beside: Sequence[Frozen]) -> tuple[Frozen, ...]:
    """Those of the layers beside each other that are adapted; none if one alone is, or if an input gain lets them see
    other inputs."""
    key = "together", beside[0].place.name
    if key not in route.scratch:
        adapted = tuple(one for one in beside if route.at(one.place.name))
        placed = [here for one in adapted for share in route.at(one.place.name) for here in share.placed]
        is_apart = len(adapted) < 2 or any(here.method.gains_input(here.spec, here.place) for here in placed)
        route.scratch[key] = () if is_apart else adapted
    found: tuple[Frozen, ...] = route.scratch[key]
    return found


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _begin(route: Route, x: Tensor, dtype: torch.dtype, beside: Sequence[Frozen], lengths: list[int]) -> Begun:
    begun: Begun = {}
    for segment, x_NI in enumerate(_cut(x.reshape(-1, x.shape[-1]), lengths)):
        here = [(one, placed) for one in beside for placed in route.at(one.place.name)[segment].placed]
        forms = [(placed, placed.form(one)) for one, placed in here if not placed.method.run]
        forms = [(p, f) for p, f in forms if f.down_RI is not None and not (route.training and f.dropout)]
        if forms:
            products = _first([p for p, _ in forms], [f for _, f in forms], x_NI, dtype)
            begun |= {(segment, id(p)): (f, z_NR) for (p, f), z_NR in zip(forms, products, strict=True)}
    return begun


def gained(form: LinearForm, y_NO: Tensor, bias_O: Tensor | None) -> Tensor:
    """Each output multiplied by its gain, with or without the layer's bias; a gain of 1 changes no bit.

    The product is made in the gain's type: near 1, bfloat16 knows only steps of 1/128.
    """
    if form.gain_O is None:
        return y_NO
    gained_NO = y_NO * form.gain_O
    if bias_O is not None and not form.gains_bias:
        gained_NO = gained_NO + bias_O * (1 - form.gain_O)
    return gained_NO.to(y_NO.dtype)


HOOKS.add("linear", Hook(name="linear", attach=attach))
