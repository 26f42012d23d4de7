"""The experts site: fused experts, whose projections are tensors of one module and no layers of their own.

An update of the first projection passes through the gate, which is not linear, so no difference can be added to what
the experts give: they are computed here, as `transformers` says that its experts compute (integrations/moe.py):

    out_n = sum over the experts e chosen for token n of   weight_ne * norm(down_e(gate(up_e(x_n))))

with the updates inside `up_e` and `down_e`. The base's own forward pass answers for the other tokens and sees no more
than them; where there are none, it is given one token whose answer is dropped, for a hook cannot keep a module from
running.

Legend: N tokens, K experts a token, P pairs of token and expert, E experts, H features of a token, I in features,
O out features. Pairs are sorted by expert, and among those of one expert by part: a part is a run of neighbouring
tokens that the same adapters answer for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graftwork.adapters.drawn import dropped
from graftwork.adapters.sites.hook import HOOKS, Hook
from graftwork.base.facts import ExpertsPlace
from graftwork.core.errors import WorkError

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Route
    from graftwork.adapters.sites.frozen import FrozenModule
    from graftwork.base.facts import Place


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens `start` to `end`, and what acts on them at the two projections."""

    start: int
    end: int
    up: tuple[Placed, ...]
    down: tuple[Placed, ...]

    @property
    def acts(self) -> bool:
        """Whether anything does."""
        return bool(self.up or self.down)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Tokens with the experts that the router chose for them."""

    hidden_NH: Tensor
    experts_NK: Tensor
    weights_NK: Tensor

    def of(self, parts: Iterable[Part]) -> Chosen:
        """Those of `parts`, one after another."""
        rows = [slice(part.start, part.end) for part in parts]
        tensors = (self.hidden_NH, self.experts_NK, self.weights_NK)
        hidden, experts, weights = (torch.cat([tensor[r] for r in rows]) if rows else tensor[:1] for tensor in tensors)
        return Chosen(hidden_NH=hidden, experts_NK=experts, weights_NK=weights)


@dataclass(frozen=True, slots=True)
class Experts:
    """A module of experts, its two projections, and how it is called."""

    name: str
    module: nn.Module
    up: FrozenModule
    down: FrozenModule
    told: inspect.Signature

    def parts(self, route: Route, chosen: Chosen) -> list[Part]:
        """All tokens, by who answers for them; empty when no adapter of this route acts here."""
        ups, downs = route.at(self.up.place.name), route.at(self.down.place.name)
        if not (ups or downs):
            return []
        per_unit = route.tokens_per_unit(chosen.hidden_NH.shape, self.name)
        nothing: tuple[tuple[Placed, ...], ...] = ((),) * len(route.segments)
        return [
            Part(segment.start * per_unit, segment.end * per_unit, up, down)
            for segment, up, down in zip(
                route.segments,
                [share.placed for share in ups] or nothing,
                [share.placed for share in downs] or nothing,
                strict=True,
            )
        ]


def attach(bank: AdapterBank, place: Place) -> list[RemovableHandle]:
    """Hooks around the module of experts, for both of its projections."""
    assert isinstance(place, ExpertsPlace)
    module = bank.module(place.module)
    at = {p.parameter: bank.frozen(p) for p in bank.host.facts.experts if p.module == place.module}
    up = at.get("gate_up_proj") or at["up_proj"]
    experts = Experts(place.module, module, up, at["down_proj"], inspect.signature(type(module).forward))
    return [
        module.register_forward_pre_hook(partial(_before, bank, experts), with_kwargs=True),
        module.register_forward_hook(partial(_after, bank, experts)),
    ]


def _before(
    bank: AdapterBank, experts: Experts, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Leaves to the base the tokens that no adapter answers for."""
    if kwargs is None or (route := bank.route_now()) is None:
        return None
    told = experts.told.bind(module, *args, **kwargs).arguments.values()
    _, hidden_NH, experts_NK, weights_NK = told  # families give them other names, in one order
    chosen = Chosen(hidden_NH=hidden_NH, experts_NK=experts_NK, weights_NK=weights_NK)
    if not (parts := experts.parts(route, chosen)):
        return None
    _refuse_two_banks(bank, experts, module)
    route.scratch[experts.name] = chosen, parts
    left = chosen.of(part for part in parts if not part.acts)
    return (left.hidden_NH, left.experts_NK, left.weights_NK), {}


def _after(bank: AdapterBank, experts: Experts, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """Puts between the base's answers those of the adapters."""
    route = bank.route_now()
    if route is None or experts.name not in route.scratch:
        return output
    chosen, parts = route.scratch.pop(experts.name)
    adapted = [part for part in parts if part.acts]
    draws = [route.draw(number, experts.name, output.device) for number, part in enumerate(parts) if part.acts]
    ours_NH = _computed(experts, chosen.of(adapted), adapted, draws if route.training else None)
    sizes = [part.end - part.start for part in parts]
    ours = iter(ours_NH.split([size for size, part in zip(sizes, parts, strict=True) if part.acts]))
    if len(adapted) == len(parts):
        return ours_NH
    theirs = iter(output.split([size for size, part in zip(sizes, parts, strict=True) if not part.acts]))
    return torch.cat([next(ours) if part.acts else next(theirs) for part in parts])


def _refuse_two_banks(bank: AdapterBank, experts: Experts, module: nn.Module) -> None:
    """Each bank would take the other's tokens for its own."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, partial) and hook.func is _before and (other := hook.args[0]) is not bank:
            route = other.route_now()
            if route is not None and any(route.at(at.place.name) for at in (experts.up, experts.down)):
                raise WorkError(f"{experts.name} is routed by two banks at once. Put the adapters into one bank.")


Draws = Sequence["torch.Generator | None"]
"""What each part's dropout is drawn from."""


def _computed(experts: Experts, chosen: Chosen, parts: Sequence[Part], draws: Draws | None) -> Tensor:
    """What the experts give for `chosen`, the tokens of `parts`; without `draws` nothing is dropped."""
    module: Any = experts.module
    num_tokens, num_active = chosen.experts_NK.shape
    lengths = torch.tensor([part.end - part.start for part in parts], device=chosen.experts_NK.device)
    part_N = torch.arange(len(parts), device=lengths.device).repeat_interleave(lengths, output_size=num_tokens)
    group_P = (chosen.experts_NK * len(parts) + part_N[:, None]).flatten()
    order_P = group_P.argsort(stable=True)
    sizes = group_P.bincount(minlength=experts.up.place.num_experts * len(parts)).tolist()  # type: ignore[union-attr]
    expert_P = chosen.experts_NK.flatten()[order_P]
    x_PI = chosen.hidden_NH[order_P // num_active]
    project = partial(_projected, module, expert_P=expert_P, sizes=sizes, draws=draws)
    up_PO = project(experts.up, x_PI, acting=[part.up for part in parts])
    gated_PI = module._apply_gate(up_PO) if module.has_gate else module.act_fn(up_PO)
    y_PH = project(experts.down, gated_PI, acting=[part.down for part in parts])
    if module.has_post_expert_norm:
        y_PH = module.post_expert_norm(y_PH)
    weighted_PH = y_PH * chosen.weights_NK.flatten()[order_P, None]
    of_tokens = weighted_PH[order_P.argsort()].view(num_tokens, num_active, -1)
    return of_tokens.sum(1).to(chosen.hidden_NH.dtype)


def _projected(
    module: Any,
    frozen: FrozenModule,
    x_PI: Tensor,
    *,
    acting: Sequence[tuple[Placed, ...]],
    expert_P: Tensor,
    sizes: list[int],
    draws: Draws | None,
) -> Tensor:
    """One projection of all pairs, with the updates of each part."""
    weight_EOI = frozen.weight
    x_PI = x_PI.to(weight_EOI.dtype)
    by_expert = [sum(sizes[at : at + len(acting)]) for at in range(0, len(sizes), len(acting))]
    y_PO = _frozen_product(module, weight_EOI, x_PI, by_expert)
    if module.has_bias:
        y_PO = y_PO + getattr(module, f"{frozen.place.parameter}_bias")[expert_P]  # type: ignore[union-attr]
    if not any(acting):
        return y_PO
    dtype, of_parts = x_PI.dtype, draws or [None] * len(acting)
    updates = [
        [_Update.of(placed, frozen, dtype, draw, drops=draws is not None) for placed in placeds]
        for placeds, draw in zip(acting, of_parts, strict=True)
    ]
    pieces = []
    for group, (x, y) in enumerate(zip(x_PI.split(sizes), y_PO.split(sizes), strict=True)):
        expert, part = divmod(group, len(acting))
        for update in updates[part] if len(x) else ():
            y = update.added(expert, x, y)
        pieces.append(y)
    return torch.cat(pieces)


@dataclass(frozen=True, slots=True)
class _Update:
    """The update of every expert: factors apart, so that the gradients of all come together once."""

    downs: tuple[Tensor, ...]
    ups: tuple[Tensor, ...]
    scale: float
    dropout: float
    draw: torch.Generator | None

    @staticmethod
    def of(
        placed: Placed, frozen: FrozenModule, dtype: torch.dtype, draw: torch.Generator | None, *, drops: bool
    ) -> _Update:
        form = placed.form(frozen)
        downs, ups = form.down_RI.to(dtype).unbind(), form.up_OR.to(dtype).unbind()
        return _Update(downs, ups, form.scale, form.dropout if drops else 0.0, draw)

    def added(self, expert: int, x: Tensor, y: Tensor) -> Tensor:
        x = dropped(x, self.dropout, self.draw) if self.dropout else x
        return y.addmm(x @ self.downs[expert].T, self.ups[expert].T, alpha=self.scale)


def _frozen_product(module: Any, weight_EOI: Tensor, x_PI: Tensor, sizes: list[int]) -> Tensor:
    """Each expert's weight times its pairs, as the base itself is told to compute it."""
    if module.config._experts_implementation == "grouped_mm" and _has_grouped_mm(x_PI):
        ends = torch.tensor(list(accumulate(sizes)), dtype=torch.int32, device=x_PI.device)
        return functional.grouped_mm(x_PI, weight_EOI.mT, offs=ends)
    return torch.cat([functional.linear(x, weight_EOI[e]) for e, x in enumerate(x_PI.split(sizes)) if len(x)])


def _has_grouped_mm(x_PI: Tensor) -> bool:
    if not hasattr(functional, "grouped_mm"):  # before torch 2.10
        return False
    return not x_PI.is_cuda or torch.cuda.get_device_capability(x_PI.device) >= (8, 0)


HOOKS.add("experts", Hook(name="experts", attach=attach))
