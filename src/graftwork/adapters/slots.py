"""Slots: factors of adapters that lie ready, place by place, for batches whose members change at every step.

A route that is made anew for each step would put factors side by side each time. Here those of an owner are made once,
in the type of the base, and a piece of the tokens says which slot's are its own. It is answered by loops that numba
compiles where it is there, else by two products. Neither depends on what else is in the batch.

Legend: N tokens, I in features, O out features, R rank, S slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.grouped import as_one
from graftwork.adapters.row_products.compiled import takes

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.route import Owner
    from graftwork.base.compiled import Prepared
    from graftwork.base.facts import Place

NOTHING = -1
BLOCK = 4
"""Tokens that a loop answers together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """What an owner does at a place: y = gain base + shift + (x down^T) up. In the base's type; gains in float32."""

    down_RI: Tensor
    up_RO: Tensor
    gain_O: Tensor | None
    shift_O: Tensor | None

    def line(self) -> list[int]:
        """As the loops are told it."""
        gain, shift = self.gain_O, self.shift_O
        gains = [gain.data_ptr(), shift.data_ptr()] if gain is not None and shift is not None else [0, 0]
        return [len(self.down_RI), self.down_RI.data_ptr(), self.up_RO.data_ptr(), *gains]

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        there = (self.down_RI, self.up_RO, self.gain_O, self.shift_O)
        return sum(tensor.numel() * tensor.element_size() for tensor in there if tensor is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Tokens `start` to `end` of one slot."""

    start: int
    end: int
    slot: int


class Slots:
    """Factors of owners on one bank's base.

    Attributes:
        num_bytes: of all factors.
    """

    def __init__(self, bank: AdapterBank) -> None:
        self._bank = bank
        self.is_compiled = takes(bank.host.device, bank.host.model.dtype)
        self._loops: dict[str, Prepared] = {}
        self._at: dict[str, dict[int, Factors]] = {}
        self._lines_S5: dict[str, Tensor] = {}
        self._slot_of: dict[Owner, int] = {}
        self._free: list[int] = []
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def hold(self, owner: Owner) -> int:
        """The slot of an owner, made if need be; `NOTHING` for the base alone."""
        if not owner:
            return NOTHING
        if owner not in self._slot_of:
            slot = self._free.pop() if self._free else len(self._slot_of)
            for place in _places(owner):
                self._put(place, slot, self._factors(place, owner))
            self._slot_of[owner] = slot
        return self._slot_of[owner]

    def let_go(self, owner: Owner) -> None:
        """Give its slot up."""
        slot = self._slot_of.pop(owner)
        for name, held in self._at.items():
            if factors := held.pop(slot, None):
                self.num_bytes -= factors.num_bytes
                self._lines_S5[name][slot, 0] = NOTHING
        self._free.append(slot)

    def owners(self) -> tuple[Owner, ...]:
        """All that have a slot."""
        return tuple(self._slot_of)

    def at(self, place: str) -> dict[int, Factors]:
        """Factors at a place by slot."""
        return self._at.get(place, {})

    def loop(self, place: str) -> Prepared:
        """The loop over blocks at a place, told all but where tokens (0 and 1) and blocks (2) lie, and how many blocks
        (4) and tokens (5) there are."""
        if place not in self._loops:
            from graftwork.adapters.row_products.slot_loops import rows
            from graftwork.base.compiled import Prepared

            factors, lines_S5 = next(iter(self._at[place].values())), self._lines_S5[place]
            sizes = factors.down_RI.shape[1], factors.up_RO.shape[1], len(lines_S5)
            loop = rows[self._bank.host.model.dtype]
            self._loops[place] = Prepared(loop, 0, 0, 0, lines_S5.data_ptr(), 0, 0, *sizes)
        return self._loops[place]

    def _factors(self, place: Place, owner: Owner) -> Factors:
        frozen = self._bank.frozen(place)
        one = as_one([placed.form(frozen) for adapter in owner for placed in adapter.at(place.name)], frozen)
        dtype = self._bank.host.model.dtype
        has_gain = one.gain_O is not None
        return Factors(
            down_RI=one.down_RI.detach().to(dtype).contiguous(),
            up_RO=one.up_OR.detach().T.to(dtype).contiguous(),
            gain_O=one.gain_O.detach().contiguous() if one.gain_O is not None else None,
            shift_O=one.shift_O.detach().contiguous() if has_gain else None,
        )

    def _put(self, place: Place, slot: int, factors: Factors) -> None:
        lines = self._lines_S5.get(place.name, torch.full((0, 5), NOTHING))
        if slot >= len(lines):
            lines = torch.cat([lines, torch.full((max(8, slot + 1 - len(lines)), 5), NOTHING)])
            self._loops.pop(place.name, None)
        lines[slot] = torch.tensor(factors.line())
        self._lines_S5[place.name] = lines
        self._at.setdefault(place.name, {})[slot] = factors
        self.num_bytes += factors.num_bytes


class SlotTable:
    """Answers at linear layers for one forward pass over a packed row.

    Args:
        pieces: one after another. The last bits of a token can depend on where its piece begins and ends.
    """

    def __init__(self, slots: Slots, pieces: Sequence[Piece]) -> None:
        self._slots, self._pieces = slots, [piece for piece in pieces if piece.slot != NOTHING]
        blocks = [
            (start, min(start + BLOCK, piece.end), piece.slot)
            for piece in self._pieces
            for start in range(piece.start, piece.end, BLOCK)
        ]
        self._blocks_B3 = torch.tensor(blocks, dtype=torch.int64)
        self._blocks_at, self._num_blocks = self._blocks_B3.data_ptr(), len(blocks)

    def answer(self, place: str, x: Tensor, base: Tensor) -> Tensor:
        """The layer's output; `base` is changed in place."""
        at = self._slots.at(place)
        if not at or not self._pieces:
            return base
        x = x.contiguous()
        if self._slots.is_compiled:
            loop = self._slots.loop(place)
            loop.told[0], loop.told[1], loop.told[2] = x.data_ptr(), base.data_ptr(), self._blocks_at
            loop.told[4], loop.told[5] = self._num_blocks, x.numel() // x.shape[-1]
            loop()
        else:
            x_NI, y_NO = x.view(-1, x.shape[-1]), base.view(-1, base.shape[-1])
            for piece in self._pieces:
                _put_on(at.get(piece.slot), x_NI[piece.start : piece.end], y_NO[piece.start : piece.end])
        return base


def _put_on(factors: Factors | None, x_NI: Tensor, y_NO: Tensor) -> None:
    """Change y_NO by what one owner does."""
    if factors is None:
        return
    if factors.gain_O is not None and factors.shift_O is not None:
        y_NO.copy_(y_NO * factors.gain_O + factors.shift_O)
    if len(factors.down_RI):
        y_NO.addmm_(x_NI @ factors.down_RI.T, factors.up_RO)


def _places(owner: Owner) -> list[Place]:
    """Of linear layers, each once."""
    found = {
        here.place.name: here.place for one in owner for here in one.placed.values() if here.method.site == "linear"
    }
    return list(found.values())
