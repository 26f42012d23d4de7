"""Who answers: an adapter's slot, and what it has in front; made once, and kept while it is in the bank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftwork.adapters.bank import Handle
from graftwork.adapters.route import Route, Segment
from graftwork.adapters.sites.context import asked_in_front
from graftwork.adapters.sites.elsewhere import front_of
from graftwork.adapters.slots import Slots
from graftwork.serving.engine.step import Voice

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank, Row
    from graftwork.adapters.route import Owner


class Voices:
    """By row of the bank."""

    def __init__(self, bank: AdapterBank) -> None:
        self._bank, self.slots = bank, Slots(bank)
        self._known: dict[tuple[Handle, ...], tuple[Owner, Voice]] = {}

    def of(self, row: Row) -> Voice:
        """The voice of a row, made if need be: in the engine's thread. Raises NotFoundError: it is not in the bank."""
        handles = handles_of(row)
        if handles not in self._known:
            owner = self._owner(handles)
            front = front_of(self._bank, owner)
            hidden = {place.name: front.num_positions for place in self._bank.host.facts.attentions}
            hidden |= {name: front.num_positions - len(keys) for name, (keys, _) in front.left.items()}
            hidden = {name: num for name, num in hidden.items() if num}
            self._known[handles] = owner, Voice(handles, self.slots.hold(owner), front, hidden)
        return self._known[handles][1]

    def num_in_front(self, row: Row) -> int:
        """Positions in front of a row's tokens; from any thread."""
        route = Route([Segment(0, 1, self._owner(handles_of(row)))], unit="rows", training=False)
        return asked_in_front(route)[0].num_positions

    def forget_gone(self) -> None:
        """Give up what belongs to adapters that have left the bank."""
        for handles, (owner, _) in list(self._known.items()):
            if any(handle not in self._bank for handle in handles):
                del self._known[handles]
                if not any(other == owner for other, _ in self._known.values()):
                    self.slots.let_go(owner)

    def _owner(self, handles: tuple[Handle, ...]) -> Owner:
        return tuple(self._bank[handle] for handle in handles)


def handles_of(row: Row) -> tuple[Handle, ...]:
    """The handles of a row; none for the base alone."""
    if row is None:
        return ()
    return (row,) if isinstance(row, Handle) else tuple(row)
