"""Which versions are in memory, which leave and which come, within a budget of bytes. Pure.

A version that requests hold, or that an operator pinned, never leaves. Whoever waits gets memory in the order of
arrival; one that fits may go before one that does not, until that one has waited for too long. Then nobody overtakes
it, and as many versions as it needs take no more requests: those under way end, and their memory is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Resident:
    """A version in memory, or on its way there.

    Attributes:
        holders: requests that it answers, and its loading.
        is_pinned: an operator wants it to stay.
        is_closed: takes no more requests, because a waiter needs its memory.
        is_leaving: takes no more requests, because an operator wants it out.
    """

    version: str
    num_bytes: int
    holders: int = 0
    is_pinned: bool = False
    is_closed: bool = False
    is_leaving: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it takes requests."""
        return not (self.is_closed or self.is_leaving)

    @property
    def is_idle(self) -> bool:
        """Whether it may leave."""
        return not (self.holders or self.is_pinned)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A version that requests wait for.

    Attributes:
        since_s: when the first of them came, by the same clock as `now_s` of `plan`.
    """

    version: str
    num_bytes: int
    since_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What is in memory and who waits.

    Attributes:
        residents: least recently acquired first.
        waiting: longest waiting first; each version once. One that is resident too is not open, and waited for
            because of that.
    """

    budget_bytes: int
    residents: tuple[Resident, ...] = ()
    waiting: tuple[Waiter, ...] = ()

    @property
    def used_bytes(self) -> int:
        """Of all residents."""
        return sum(one.num_bytes for one in self.residents)

    def find(self, version: str) -> Resident | None:
        """The resident of a version."""
        return next((one for one in self.residents if one.version == version), None)

    def check(self) -> None:
        """What must always be so."""
        versions = [one.version for one in self.residents]
        assert len(set(versions)) == len(versions), self
        assert self.used_bytes <= self.budget_bytes, self
        assert all(one.holders >= 0 for one in self.residents), self
        waiting = [one.version for one in self.waiting]
        assert len(set(waiting)) == len(waiting), self
        assert not any(one.is_open for one in self.residents if one.version in waiting), self


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do now, in this order.

    Attributes:
        evict: versions to take out of memory.
        load: versions to bring in; their memory is theirs from now on.
        closed: all versions that take no more requests.
        ready: versions that were waited for and take requests again.
        hopeless: versions that are larger than all that could ever be freed.
    """

    evict: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    closed: frozenset[str] = frozenset()
    ready: tuple[str, ...] = ()
    hopeless: tuple[str, ...] = ()

    @property
    def moves_memory(self) -> bool:
        """Whether anything leaves or comes."""
        return bool(self.evict or self.load)


def plan(state: State, *, now_s: float, patience_s: float) -> Plan:
    """What leaves, what comes, and who takes no more requests.

    Args:
        patience_s: whoever waits for longer is overtaken by nobody.

    >>> held = Resident(version="a", num_bytes=60, holders=1)
    >>> state = State(budget_bytes=100, residents=(held,), waiting=(Waiter(version="b", num_bytes=50, since_s=0.0),))
    >>> plan(state, now_s=1.0, patience_s=5.0).closed, plan(state, now_s=6.0, patience_s=5.0).closed
    (frozenset(), frozenset({'a'}))
    """
    gone = [one for one in state.residents if one.is_leaving and one.is_idle]
    load: list[str] = []
    hopeless: list[str] = []
    closed: frozenset[str] = frozenset()
    room = state.budget_bytes - state.used_bytes + _bytes(gone)
    for waiter in state.waiting:
        found = state.find(waiter.version)
        if found and found not in gone:
            continue
        if waiter.num_bytes > state.budget_bytes - _pinned_bytes(state):
            hopeless.append(waiter.version)
            continue
        idle = [one for one in _closed_first(state.residents) if one.is_idle and one not in gone]
        is_starving = now_s - waiter.since_s >= patience_s
        if room + _bytes(idle) >= waiter.num_bytes:
            chosen = _enough(idle, waiter.num_bytes - room)
            load.append(waiter.version)
            room -= waiter.num_bytes
        elif is_starving:
            chosen = idle  # free at once, and not to be taken again meanwhile
            held = [one for one in _closed_first(state.residents) if one.holders and not one.is_pinned]
            closed = frozenset(one.version for one in _enough(held, waiter.num_bytes - room - _bytes(idle)))
        else:
            continue
        gone += chosen
        room += _bytes(chosen)
        if closed:
            break
    evict = tuple(one.version for one in gone)
    stays = (one.version for one in state.residents if not one.is_leaving)
    open_again = set(stays) - closed - set(evict)
    return Plan(
        evict=evict,
        load=tuple(load),
        closed=closed,
        ready=tuple(one.version for one in state.waiting if one.version in open_again),
        hopeless=tuple(hopeless),
    )


def after(state: State, done: Plan) -> State:
    """The state once a plan was carried out; what it loads is held by its loading."""
    gone = {*done.load, *done.ready, *done.hopeless}
    coming = {one.version: one.num_bytes for one in state.waiting}
    stayed = (
        replace(one, is_closed=one.version in done.closed) for one in state.residents if one.version not in done.evict
    )
    loaded = (Resident(version=version, num_bytes=coming[version], holders=1) for version in done.load)
    waiting = tuple(one for one in state.waiting if one.version not in gone)
    return replace(state, residents=(*stayed, *loaded), waiting=waiting)


def waited_for(state: State, version: str, num_bytes: int, *, since_s: float) -> State:
    """The state with one more who waits, behind the others; as it is when that version is waited for already."""
    if any(one.version == version for one in state.waiting):
        return state
    return replace(state, waiting=(*state.waiting, Waiter(version=version, num_bytes=num_bytes, since_s=since_s)))


def given_up(state: State, version: str) -> State:
    """The state when nobody waits for a version any more."""
    return replace(state, waiting=tuple(one for one in state.waiting if one.version != version))


def acquired(state: State, version: str) -> State:
    """The state with one more holder of a resident, which is the most recently acquired now."""
    found = state.find(version)
    assert found is not None, version
    others = tuple(one for one in state.residents if one is not found)
    return replace(state, residents=(*others, replace(found, holders=found.holders + 1)))


def released(state: State, version: str) -> State:
    """The state with one holder fewer."""
    return _with(state, version, lambda one: replace(one, holders=one.holders - 1))


def pinned(state: State, version: str, *, is_pinned: bool) -> State:
    """The state with a resident pinned or not."""
    return _with(state, version, lambda one: replace(one, is_pinned=is_pinned))


def leaving(state: State, version: str) -> State:
    """The state with a resident that takes no more requests and leaves when it has none."""
    return _with(state, version, lambda one: replace(one, is_leaving=True))


def taken_out(state: State, version: str) -> State:
    """The state without a resident."""
    return replace(state, residents=tuple(one for one in state.residents if one.version != version))


def _with(state: State, version: str, change: Callable[[Resident], Resident]) -> State:
    residents = (change(one) if one.version == version else one for one in state.residents)
    return replace(state, residents=tuple(residents))


def _closed_first(residents: Iterable[Resident]) -> list[Resident]:
    """So that what was closed for a waiter is what it gets; else the least recently acquired first."""
    return sorted(residents, key=lambda one: one.is_open)


def _enough(candidates: Iterable[Resident], num_bytes: int) -> list[Resident]:
    """The first of them that have so many bytes together."""
    chosen: list[Resident] = []
    for one in candidates:
        if _bytes(chosen) >= num_bytes:
            break
        chosen.append(one)
    return chosen


def _bytes(residents: Iterable[Resident]) -> int:
    return sum(one.num_bytes for one in residents)


def _pinned_bytes(state: State) -> int:
    return sum(one.num_bytes for one in state.residents if one.is_pinned)
