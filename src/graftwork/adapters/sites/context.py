"""What lies in front of the tokens of a batch: prefixes, and soft tokens that the base has read.

Before the base's body reads a batch, each segment of the route is told how many positions lie in front of it, and its
tokens' own positions begin behind them. In a causal model soft tokens see nothing behind them: they are read once an
adapter, not once a row, and the keys and values that they leave at every attention module are a prefix like any other.

All this holds for one forward pass: a route of its own is in force from the body's entry to its exit, so recomputed
layers find what they found the first time.

Legend: B rows, T tokens, P positions in front, H features, K heads of keys, D head size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graftwork.adapters.route import Route, Segment
from graftwork.core.errors import Problem, SpecError, WorkError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Owner

IN_FRONT = "in front"
"""What of `Route.scratch` is ours: what all passes of a route have in common."""

Left = Mapping[str, tuple[Tensor, Tensor]]
"""key_1KPD and value_1KPD by attention module."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InFront:
    """What is asked to lie in front of one segment: prefixes first, then soft tokens, which see them."""

    prefix_positions: int
    soft: tuple[Placed, ...]
    soft_positions: int

    @property
    def num_positions(self) -> int:
        """Positions in front in all."""
        return self.prefix_positions + self.soft_positions


@dataclass(kw_only=True, eq=False, slots=True)
class Ahead:
    """What lies in front in one forward pass.

    Attributes:
        outer: the route as it was asked for.
        in_front: by segment.
        left: what the soft tokens of each segment left.
        positions_BT: of the tokens, counted from the first position in front; one row if all rows agree.
        masks: with columns for what lies in front, by segment, id of the base's own mask and window; and that mask,
            which is kept so that no other gets its id.
        recorded: filled while soft tokens are read themselves; None else.
        entered: the context in which this holds, until it is left.
    """

    outer: Route
    in_front: tuple[InFront, ...]
    left: tuple[Left, ...]
    positions_BT: Tensor
    recorded: dict[str, tuple[Tensor, Tensor]] | None = None
    masks: dict[tuple[int, int, int | None], tuple[Tensor | None, Tensor | None]] = field(default_factory=dict)
    entered: AbstractContextManager[None] | None = None


class Behind(Route):
    """A route for one forward pass, with what lies in front in it. All else it shares with the route as asked for."""

    def __init__(self, outer: Route, ahead: Ahead) -> None:
        super().__init__(
            outer.segments, unit=outer.unit, training=outer.training, groups=outer.groups, seeds=outer.seeds
        )
        self.scratch, self._at = outer.scratch, outer._at
        self.ahead = ahead


def body_of(bank: AdapterBank) -> nn.Module:
    """What reads tokens in the bank's base: all of it but the head."""
    return bank.host.model.base_model


def ahead_now(bank: AdapterBank) -> Ahead | None:
    """What lies in front in the forward pass of this moment."""
    route = bank.route_now()
    return route.ahead if isinstance(route, Behind) else None


class Undo:
    """Takes something of ours off the base again."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self.remove = remove


class Entrance:
    """Stands before the body of a bank's base: one a bank, however many need it."""

    def __init__(self, bank: AdapterBank) -> None:
        self.bank = bank
        self.needed = 0
        body = body_of(bank)
        self._names = list(inspect.signature(body.forward).parameters)
        self._hooks = [
            body.register_forward_pre_hook(self, with_kwargs=True),
            body.register_forward_hook(self.leave, always_call=True),
        ]

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Positions for the tokens, and what lies in front of them from here to `leave`."""
        route, ahead = self.bank.route_now(), ahead_now(self.bank)
        if kwargs is None or route is None or (ahead and ahead.recorded is not None):
            return None
        route = ahead.outer if ahead else route
        if route.elsewhere:
            return (), {**dict(zip(self._names, args, strict=False)), **kwargs, "attention_mask": _no_mask()}
        in_front = asked_in_front(route)
        is_nothing = not any(one.num_positions for one in in_front)
        if is_nothing and not route.groups:
            return None
        told = {**dict(zip(self._names, args, strict=False)), **kwargs}
        refuse_other_batch(route, _tokens(told).shape)
        if route.groups:
            told["attention_mask"] = _no_mask()
        if is_nothing:
            return (), told
        positions_BT = shifted(own_positions(told), in_front, route)
        self._refuse_too_long(told, positions_BT, in_front)
        state = Ahead(outer=route, in_front=in_front, left=self._left(route, in_front), positions_BT=positions_BT)
        state.entered = self.bank.entered(Behind(route, state))
        state.entered.__enter__()
        return (), {**told, "position_ids": positions_BT}

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """The pass is over, or has failed."""
        ahead = ahead_now(self.bank)
        if ahead and ahead.entered:
            entered, ahead.entered = ahead.entered, None
            entered.__exit__(None, None, None)

    def release(self) -> None:
        """One fewer needs it."""
        self.needed -= 1
        if not self.needed:
            for hook in self._hooks:
                hook.remove()

    def _left(self, route: Route, in_front: tuple[InFront, ...]) -> tuple[Left, ...]:
        found: dict[Owner, Left] = {(): {}}
        for segment, one in zip(route.segments, in_front, strict=True):
            if segment.owner not in found:
                found[segment.owner] = left_by(self.bank, segment.owner, one, training=route.training)
        return tuple(found[segment.owner] for segment in route.segments)

    def _refuse_too_long(self, told: Mapping[str, Any], positions_BT: Tensor, in_front: tuple[InFront, ...]) -> None:
        limit, most = self.bank.host.facts.context_tokens, max(one.num_positions for one in in_front)
        if limit is None or _seen(told) + positions_BT.shape[-1] + most <= limit:
            return  # without asking the device where the last token is
        if (last := int(positions_BT.max())) < limit:
            return
        hint = f"With them the last token is at {last + 1}, and this base has positions for {limit}."
        raise SpecError([Problem("adapter.positions", most, f"at most {max(most - last - 1 + limit, 0)}", hint)])


def entrance(bank: AdapterBank) -> Undo:
    """Needs the bank's entrance, until removed."""
    hooks = body_of(bank)._forward_pre_hooks.values()
    there = [hook for hook in hooks if isinstance(hook, Entrance) and hook.bank is bank]
    one = there[0] if there else Entrance(bank)
    one.needed += 1
    return Undo(one.release)


def asked_in_front(route: Route) -> tuple[InFront, ...]:
    """What is asked to lie in front of each segment of `route`."""
    if IN_FRONT not in route.scratch:
        by_owner = {segment.owner: _in_front(segment.owner) for segment in route.segments}
        route.scratch[IN_FRONT] = tuple(by_owner[segment.owner] for segment in route.segments)
    found: tuple[InFront, ...] = route.scratch[IN_FRONT]
    return found


def _in_front(owner: Owner) -> InFront:
    prefix_positions, soft = 0, []
    for adapter in owner:
        prefixes: dict[int, int] = {}
        for here in adapter.placed.values():
            if here.method.site == "attention_cache":
                prefixes[here.part] = here.spec.positions  # type: ignore[attr-defined]
            elif here.method.site == "input_embedding":
                soft.append(here)
        prefix_positions += sum(prefixes.values())
    soft_positions: int = sum(here.spec.positions for here in soft)  # type: ignore[attr-defined]
    return InFront(prefix_positions=prefix_positions, soft=tuple(soft), soft_positions=soft_positions)


def own_positions(told: Mapping[str, Any]) -> Tensor:
    """Positions of the tokens with nothing in front: as told, or from the first that the cache does not hold."""
    given = told.get("position_ids")
    if isinstance(given, Tensor):
        return given
    tokens = _tokens(told)
    return torch.arange(tokens.shape[1], device=tokens.device)[None] + _seen(told)


def _no_mask() -> Tensor:
    """A mask that nobody looks at, so that the base makes none of N x N."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool)


def _tokens(told: Mapping[str, Any]) -> Tensor:
    tokens: Tensor = told["input_ids"] if told.get("input_ids") is not None else told["inputs_embeds"]
    return tokens


def _seen(told: Mapping[str, Any]) -> int:
    cache = told.get("past_key_values")
    return int(cache.get_seq_length()) if cache is not None else 0


def shifted(positions_BT: Tensor, in_front: tuple[InFront, ...], route: Route) -> Tensor:
    """Each token's position behind what lies in front of its segment."""
    lengths = [one.num_positions for one in in_front]
    if len(set(lengths)) == 1:
        return positions_BT + lengths[0]
    units = [n for segment, n in zip(route.segments, lengths, strict=True) for _ in range(segment.start, segment.end)]
    along = torch.tensor(units, device=positions_BT.device)
    return positions_BT + (along[:, None] if route.unit == "rows" else along)


def refuse_other_batch(route: Route, shape: Sequence[int]) -> None:
    """Raises WorkError: tokens of this shape are other rows, or packed tokens, than those of `route`."""
    rows, tokens = shape[:2]
    if route.unit == "rows" and rows != route.num_units:
        raise WorkError(f"the base saw {rows} rows, but the route has {route.num_units} rows.")
    if route.unit == "tokens" and (rows, tokens) != (1, route.num_units):
        raise WorkError(f"the base saw {rows}x{tokens} tokens, but the route has {route.num_units} in one packed row.")


def left_by(bank: AdapterBank, owner: Owner, in_front: InFront, *, training: bool) -> Left:
    """What the soft tokens of an owner leave at the attention modules.

    Kept by the bank, since they depend on its base, while no gradient is wanted and none of the adapter's tensors
    changes; an owner of several adapters is read anew each time.
    """
    if not in_front.soft:
        return {}
    if torch.is_grad_enabled() or training or len(owner) > 1:
        return _read(bank, owner, in_front, training=training)
    tensors = [tensor for _, tensor in owner[0].tensors()]
    kept: Left = bank.memo(owner[0]).of("left", tensors, lambda: _read(bank, owner, in_front, training=training))
    return kept


def _read(bank: AdapterBank, owner: Owner, in_front: InFront, *, training: bool) -> Left:
    model = bank.host.model
    soft_PH = torch.cat([here.method.act(here.spec, here.params) for here in in_front.soft])
    positions_1P = torch.arange(in_front.prefix_positions, in_front.num_positions, device=soft_PH.device)[None]
    alone = Route([Segment(0, 1, owner)], unit="rows", training=training)
    recorded: dict[str, tuple[Tensor, Tensor]] = {}
    prefix = InFront(prefix_positions=in_front.prefix_positions, soft=(), soft_positions=0)
    state = Ahead(outer=alone, in_front=(prefix,), left=({},), positions_BT=positions_1P, recorded=recorded)
    with bank.entered(Behind(alone, state)):
        body_of(bank)(inputs_embeds=soft_PH[None].to(model.dtype), position_ids=positions_1P, use_cache=False)
    return recorded
