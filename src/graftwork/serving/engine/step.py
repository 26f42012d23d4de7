"""One forward pass over everything that a step reads: single tokens in front, pieces of prompts behind them.

Rows are filled up, where the base's products ask for it (`steady`), with tokens of nobody, so that no request's bits
depend on the others'.

Legend: N tokens of the step, R rows whose next token is wanted, H features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.route import Route, Segment
from graftwork.adapters.sites.elsewhere import Front
from graftwork.adapters.slots import Piece, SlotTable
from graftwork.serving.engine.attending import StepAttention, Stretch
from graftwork.serving.engine.steady import filled_up

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.adapters.route import Owner
    from graftwork.adapters.slots import Slots
    from graftwork.serving.engine.cache import Cache
    from graftwork.serving.engine.plan import StepPlan
    from graftwork.serving.engine.state import Seat


@dataclass(frozen=True, slots=True)
class Voice:
    """Who answers a request.

    Attributes:
        hidden: by attention module, places in front that hold nothing for it.
    """

    handles: tuple[Handle, ...]
    slot: int
    front: Front
    hidden: Mapping[str, int]


@dataclass(slots=True)
class Layout:
    """The rows of a step as they are laid out.

    Attributes:
        runs: whose rows they are and how many, one after another.
        acting: rows in which a slot's factors act.
        wanted: requests whose next token is wanted, with the row that predicts it.
    """

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    runs: list[tuple[tuple[Handle, ...], int]] = field(default_factory=list)
    acting: list[Piece] = field(default_factory=list)
    singles: list[Stretch] = field(default_factory=list)
    pieces: list[Stretch] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)

    def add(self, tokens: Sequence[int], start: int, voice: Voice | None, multiple: int) -> None:
        """Tokens from place `start` on, filled up with tokens of nobody."""
        num = filled_up(len(tokens), multiple) if voice else len(tokens)
        nobodys = [0] * (num - len(tokens))
        self.tokens += [*tokens, *nobodys]
        self.positions += [*range(start, start + len(tokens)), *nobodys]
        self.runs.append((voice.handles if voice else (), num))


def laid_out(plan: StepPlan, voices: Mapping[str, Voice], tokens: Mapping[str, Sequence[int]], multiple: int) -> Layout:
    """The rows of a step.

    Args:
        tokens: of each request, prompt and answer.
    """
    layout = Layout()
    for id_ in plan.singles:
        seat, voice = plan.state.running[id_], voices[id_]
        row, place = len(layout.tokens), seat.num_filled
        layout.add(tokens[id_][-1:], place, voice, 1)
        layout.singles.append(_stretch(seat, voice, row, place, place + 1))
        layout.acting.append(Piece(start=row, end=row + 1, slot=voice.slot))
        layout.wanted[id_] = row
    by_request: dict[str, list[tuple[int, int, bool]]] = {}
    for chunk in plan.chunks:
        by_request.setdefault(chunk.id, []).append((chunk.start, chunk.end, chunk.is_last))
    for id_, chunks in by_request.items():
        seat, voice, row = plan.state.running[id_], voices[id_], len(layout.tokens)
        (first, _, _), (_, last, is_last) = chunks[0], chunks[-1]
        in_front = seat.waiter.num_in_front
        layout.add(tokens[id_][first - in_front : last - in_front], first, voice, multiple)
        for start, end, _ in chunks:  # each as if it were alone, to the last bit
            at = row + start - first
            layout.pieces.append(_stretch(seat, voice, at, start, end))
            layout.acting.append(Piece(start=at, end=at + end - start, slot=voice.slot))
        if is_last:
            layout.wanted[id_] = row + last - first - 1
    if missing := filled_up(len(layout.tokens), multiple) - len(layout.tokens):
        layout.add([0] * missing, 0, None, 1)
    return layout


def _stretch(seat: Seat, voice: Voice, row: int, start: int, end: int) -> Stretch:
    return Stretch(row=row, pages=seat.pages, start=start, end=end, hidden=voice.hidden)


@torch.no_grad()
def computed(bank: AdapterBank, slots: Slots, cache: Cache, layout: Layout, multiple: int) -> Tensor:
    """logits_RV of the rows that are wanted, in their order."""
    halves, device = bank.base.halves, bank.host.device
    tokens_1N, positions_1N = (torch.tensor([numbers], device=device) for numbers in (layout.tokens, layout.positions))

    def made(owners: Sequence[Owner]) -> Route:
        route = Route(_segments(owners, layout), unit="tokens", training=False)
        route.elsewhere = StepAttention(cache, layout.singles, layout.pieces, device)
        route.table = SlotTable(slots, layout.acting)
        return route

    with bank.routed([handles for handles, _ in layout.runs], made):
        hidden_1NH = halves.hidden_BTH(tokens_1N, positions_1N)
        rows = list(layout.wanted.values())
        rows += rows[:1] * (filled_up(len(rows), multiple) - len(rows))
        logits_RV = halves.logits_of(hidden_1NH[0, rows]) if rows else hidden_1NH[0, :0]
    return logits_RV[: len(layout.wanted)]


def _segments(owners: Sequence[Owner], layout: Layout) -> list[Segment]:
    """One a run, also where neighbours have the same owner: who else is there changes nothing."""
    start, found = 0, []
    for owner, (_, num) in zip(owners, layout.runs, strict=True):
        found.append(Segment(start, start + num, owner))
        start += num
    return found
