"""The state of the engine as a value: who waits, who runs, which pages are whose. No tensor, no clock, no thread.

Legend: places are those of the cache, for keys and values of one token each; what lies in front of a prompt has places
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from graftwork.serving.engine.fair import Account, arrived, charged
from graftwork.serving.engine.pages import PAGE_TOKENS, Key, Pages, empty, given_back, kept, num_pages_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A request without a place.

    Attributes:
        number: of arrival.
        num_in_front: places that what lies in front of the prompt takes.
        num_prompt: places of that and the prompt.
        max_new: most tokens that it says.
        keys: of the prompt's whole pages.
    """

    id: str
    number: int
    tenant: str
    content: str
    num_in_front: int
    num_prompt: int
    max_new: int
    keys: tuple[Key, ...]
    is_urgent: bool = False

    @property
    def num_places(self) -> int:
        """Places that it can ever need: its last token is said, and never read."""
        return self.num_prompt + self.max_new - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A request that runs.

    Attributes:
        pages: its own, in order; `num_shared` of them were found.
        num_filled: places with keys and values in them.
        num_said: tokens said.
    """

    waiter: Waiter
    pages: tuple[int, ...]
    num_shared: int
    num_filled: int
    num_said: int = 0

    @property
    def id(self) -> str:
        """Of the request."""
        return self.waiter.id

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.waiter.tenant

    @property
    def content(self) -> str:
        """What computes it."""
        return self.waiter.content

    @property
    def is_read(self) -> bool:
        """Whether the whole prompt has been read."""
        return self.num_filled >= self.waiter.num_prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All of it.

    Attributes:
        waiting: in the order of arrival.
        running: in the order in which they got their places.
        got: what each account was given; see `fair`.
    """

    pages: Pages
    waiting: Mapping[str, Waiter] = field(default_factory=dict)
    running: Mapping[str, Seat] = field(default_factory=dict)
    got: Mapping[Account, float] = field(default_factory=dict)

    def check(self) -> None:
        """What must hold after every step."""
        self.pages.check()
        assert not set(self.waiting) & set(self.running)
        holders: dict[int, int] = {}
        for seat in self.running.values():
            assert len(seat.pages) == num_pages_for(seat.waiter.num_places)
            assert seat.num_filled <= seat.waiter.num_places
            assert seat.num_said <= seat.waiter.max_new
            assert seat.num_filled == seat.waiter.num_prompt + max(0, seat.num_said - 1) or not seat.num_said
            for page in seat.pages:
                holders[page] = holders.get(page, 0) + 1
        assert holders == self.pages.holders


def begun(num_pages: int) -> State:
    """Nobody is there."""
    return State(pages=empty(num_pages))


def joined(state: State, waiter: Waiter) -> State:
    """One more waits."""
    return replace(state, got=arrived(state, waiter), waiting={**state.waiting, waiter.id: waiter})


def left(state: State, id_: str) -> State:
    """One has ended, wherever it stood; nothing changes if it was not there."""
    waiting = {key: one for key, one in state.waiting.items() if key != id_}
    if id_ not in state.running:
        return replace(state, waiting=waiting)
    running = {key: one for key, one in state.running.items() if key != id_}
    return replace(state, waiting=waiting, running=running, pages=given_back(state.pages, state.running[id_].pages))


def seated(state: State, seat: Seat, pages: Pages) -> State:
    """`seat` runs."""
    waiting = {key: one for key, one in state.waiting.items() if key != seat.id}
    return replace(state, waiting=waiting, running={**state.running, seat.id: seat}, pages=pages)


def read(state: State, id_: str, end: int) -> State:
    """The prompt of a request has been read up to place `end`: pages that are full now can be found by others."""
    seat, pages = state.running[id_], state.pages
    for number in range(seat.num_filled // PAGE_TOKENS, min(end // PAGE_TOKENS, len(seat.waiter.keys))):
        pages = kept(pages, seat.pages[number], seat.waiter.keys[number])
    running = {**state.running, id_: replace(seat, num_filled=end)}
    return replace(state, running=running, pages=pages)


def said(state: State, ids: Mapping[str, float], filled: frozenset[str]) -> State:
    """Requests have said one token more.

    Args:
        ids: what each is charged for this step.
        filled: those of them whose token before that was read in this step.
    """
    running, got = dict(state.running), dict(state.got)
    for id_, cost in ids.items():
        seat = running[id_]
        running[id_] = replace(seat, num_said=seat.num_said + 1, num_filled=seat.num_filled + (id_ in filled))
        got = charged(got, seat, cost)
    return replace(state, running=running, got=got)
