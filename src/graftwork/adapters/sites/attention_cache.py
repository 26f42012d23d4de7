"""The attention cache site: keys and values in front of those of the tokens.

Each segment of the batch with something in front has its attention computed by itself, with its keys and values in
front of its own; the others get what the base computes for them. The base's cache holds the tokens' own keys alone.

Legend: B rows, T tokens, S keys of the tokens, P positions in front, H heads of queries, K heads of keys, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.sites.context import Undo, ahead_now, entrance
from graftwork.adapters.sites.hook import HOOKS, Hook
from graftwork.adapters.sites.records import of_records, one_by_one
from graftwork.adapters.sites.refusals import context_problems
from graftwork.adapters.sites.watched import Answer, Attention, listeners_at, unwatch, watch
from graftwork.core.errors import WorkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Group, Route, Segment
    from graftwork.adapters.sites.context import Ahead
    from graftwork.base.facts import Place


def attach(bank: AdapterBank, place: Place) -> list[Undo]:
    """The bank's entrance before the body, and a say in the attention of the module at `place`."""
    return [entrance(bank), listen(bank, place.name)]


def listen(bank: AdapterBank, name: str) -> Undo:
    """A say in the attention of a module, until removed."""
    module = bank.module(name)
    there = [one for one in listeners_at(module) if isinstance(one, Front) and one.bank is bank]
    front = there[0] if there else Front(bank, name)
    front.needed += 1
    if not there:
        watch(module, front)
    return Undo(front.release)


@dataclass(eq=False, slots=True)
class Front:
    """Puts in front of the keys of one attention module what the bank's route says: one a module and bank."""

    bank: AdapterBank
    name: str
    needed: int = 0

    def release(self) -> None:
        """One fewer needs it."""
        self.needed -= 1
        if not self.needed:
            unwatch(self.bank.module(self.name), self)

    def acts(self) -> bool:
        """Whether something lies in front in this forward pass, records are kept apart, or keys are elsewhere."""
        route = self.bank.route_now()
        if route is None:
            return False
        return route.elsewhere is not None or bool(route.groups) or ahead_now(self.bank) is not None

    def attend(self, call: Attention) -> Answer:
        """Attention with, for each segment or record, what lies in front of it."""
        route, ahead = self.bank.route_now(), ahead_now(self.bank)
        assert route is not None
        if route.elsewhere:
            return route.elsewhere.attend(self.name, call)
        if route.groups:
            return group_by_group(self.name, call, route, ahead)
        assert ahead is not None
        if ahead.recorded is not None:
            ahead.recorded[self.name] = call.key_BKSD, call.value_BKSD
        along = 0 if route.unit == "rows" else 1
        cuts = [call] if len(route.segments) == 1 else cut(call, route, self.name)
        answers = []
        for number, (one, segment) in enumerate(zip(cuts, route.segments, strict=True)):
            found = _in_front(self.name, number, route, ahead)
            if found:
                told = number, id(call.mask), call.options.get("sliding_window")  # one mask serves many layers
                if told not in ahead.masks:
                    positions_BT = _of_segment(ahead.positions_BT, segment, along)
                    made = mask_with_front(one, positions_BT, in_front=sum(k.shape[2] for k, _ in found))
                    ahead.masks[told] = call.mask, made
                one = in_front_of(one, found, ahead.masks[told][1])
            answers.append(one.answered())
        if len(answers) == 1:
            return answers[0]
        return torch.cat([answer for answer, _ in answers], dim=along), None


def group_by_group(name: str, call: Attention, route: Route, ahead: Ahead | None) -> Answer:
    """Attention of a packed row whose records do not see each other.

    Each group is computed by itself, so its bits do not depend on what else is in the row.
    """
    assert route.groups
    if call.key_BKSD.shape[2] != route.num_units:
        raise WorkError(f"{name} saw a cache beside packed records.")
    sizes = [group.num_tokens for group in route.groups]
    tensors = (call.query_BHTD, call.key_BKSD, call.value_BKSD)
    start, answers = 0, []
    pieces = zip(route.groups, *(tensor.split(sizes, dim=2) for tensor in tensors), strict=True)
    for number, (group, query, key, value) in enumerate(pieces):
        alone = replace(call, query_BHTD=query, key_BKSD=key, value_BKSD=value, mask=None)
        found = _in_front(name, number, route, ahead) if ahead else []
        if ahead and found:
            positions_BT = ahead.positions_BT[..., start : start + group.num_tokens]
            answers.append(_behind(alone, group, found, positions_BT, route))
        else:
            answers.append(of_records(alone, group, route.scratch))
        start += group.num_tokens
    return (answers[0] if len(answers) == 1 else torch.cat(answers, dim=1)), None


def _behind(
    call: Attention, group: Group, found: Sequence[tuple[Tensor, Tensor]], positions_BT: Tensor, route: Route
) -> Tensor:
    """Record by record, each behind what lies in front.

    Raises:
        WorkError: the records share what they begin with: what lies in front of that would have to be there twice.
    """
    if group.shared:
        raise WorkError("records behind a prefix or soft prompt cannot share what they begin with.")
    starts, answers = accumulate(group.lengths, initial=0), []
    for one, start in zip(one_by_one(call, group, route.scratch), starts, strict=False):
        num_tokens = one.query_BHTD.shape[2]
        own_BT = positions_BT[..., start : start + num_tokens].reshape(-1, num_tokens)[:1]
        mask = mask_with_front(one, own_BT, in_front=sum(k.shape[2] for k, _ in found))
        answers.append(in_front_of(one, found, mask).answered()[0])
    return torch.cat(answers, dim=1)


def _in_front(name: str, number: int, route: Route, ahead: Ahead) -> list[tuple[Tensor, Tensor]]:
    """key_1KPD and value_1KPD, prefixes first."""
    shares = route.at(name)
    placed = shares[number].placed if shares else ()
    prefixes = [here.method.act(here.spec, here.params) for here in placed if here.method.site == "attention_cache"]
    found = [(keys_PKD.transpose(0, 1)[None], values_PKD.transpose(0, 1)[None]) for keys_PKD, values_PKD in prefixes]
    return [*found, *([ahead.left[number][name]] if name in ahead.left[number] else [])]


def cut(call: Attention, route: Route, name: str) -> list[Attention]:
    """The calls of the segments, each with its own queries, keys and mask.

    Raises:
        WorkError: there is a cache beside packed tokens.
    """
    if route.unit == "rows":
        return [_rows(call, slice(segment.start, segment.end)) for segment in route.segments]
    if call.key_BKSD.shape[2] != route.num_units:
        raise WorkError(f"{name} saw a cache beside packed tokens, which does not say whose each key is.")
    return [_tokens(call, slice(segment.start, segment.end)) for segment in route.segments]


def _rows(call: Attention, rows: slice) -> Attention:
    mask = call.mask if call.mask is None or call.mask.shape[0] == 1 else call.mask[rows]
    return replace(
        call,
        query_BHTD=call.query_BHTD[rows],
        key_BKSD=call.key_BKSD[rows],
        value_BKSD=call.value_BKSD[rows],
        mask=mask,
    )


def _tokens(call: Attention, tokens: slice) -> Attention:
    """Packed tokens of one owner see none of another's: they are other records."""
    return replace(
        call,
        query_BHTD=call.query_BHTD[:, :, tokens],
        key_BKSD=call.key_BKSD[:, :, tokens],
        value_BKSD=call.value_BKSD[:, :, tokens],
        mask=None if call.mask is None else call.mask[:, :, tokens, tokens],
    )


def _of_segment(positions_BT: Tensor, segment: Segment, along: int) -> Tensor:
    positions_BT = positions_BT if positions_BT.ndim == 2 else positions_BT[0]  # several kinds of position: the text's
    units = slice(segment.start, segment.end)
    if along:
        return positions_BT[:, units]
    return positions_BT if positions_BT.shape[0] == 1 else positions_BT[units]


def in_front_of(call: Attention, found: Sequence[tuple[Tensor, Tensor]], mask: Tensor | None) -> Attention:
    """`call` with keys and values in front, and a mask that has columns for them.

    Raises:
        WorkError: the keys have another form than the module's.
    """
    key, value = call.key_BKSD, call.value_BKSD
    key_1KPD = torch.cat([k.to(key.dtype) for k, _ in found], dim=2)
    value_1KPD = torch.cat([v.to(value.dtype) for _, v in found], dim=2)
    if (key_1KPD.shape[1], key_1KPD.shape[3]) != (key.shape[1], key.shape[3]):
        raise WorkError(f"keys of form {tuple(key_1KPD.shape)} cannot lie in front of keys {tuple(key.shape)}.")
    num_rows = key.shape[0]
    return replace(
        call,
        key_BKSD=torch.cat([key_1KPD.expand(num_rows, -1, -1, -1), key], dim=2),
        value_BKSD=torch.cat([value_1KPD.expand(num_rows, -1, -1, -1), value], dim=2),
        mask=mask,
    )


def mask_with_front(call: Attention, positions_BT: Tensor, *, in_front: int) -> Tensor | None:
    """The mask of the tokens' own keys with the columns of those in front, which each token sees as far as its window
    reaches; None if all see all.

    Args:
        positions_BT: of the tokens, counted from the first position in front.
        in_front: positions in front.
    """
    window = call.options.get("sliding_window")
    num_tokens, num_keys = call.query_BHTD.shape[2], call.key_BKSD.shape[2]
    if call.mask is None and window is None and (num_tokens == 1 or not call.causal_if_unmasked):
        return None
    device = call.query_BHTD.device
    in_front_P = torch.arange(in_front, device=device)
    far_B1TP = positions_BT[:, None, :, None] - in_front_P
    seen_B1TP = far_B1TP < window if window is not None else torch.ones_like(far_B1TP, dtype=torch.bool)
    own = call.mask
    if own is None:
        own = torch.ones(num_tokens, num_keys, dtype=torch.bool, device=device)[None, None]
        own = own.tril(num_keys - num_tokens) if call.causal_if_unmasked else own
    if own.dtype != torch.bool:
        shut = torch.finfo(own.dtype).min
        front = torch.zeros(seen_B1TP.shape, dtype=own.dtype, device=device).masked_fill(~seen_B1TP, shut)
    else:
        front = seen_B1TP
    num_rows, num_heads = max(own.shape[0], front.shape[0]), own.shape[1]
    front = front.expand(num_rows, num_heads, -1, -1)
    return torch.cat([front, own[..., :num_keys].expand(num_rows, -1, -1, -1)], dim=-1)


HOOKS.add("attention_cache", Hook(name="attention_cache", attach=attach, problems=context_problems))
