"""Adapters in memory within their budget: what `residency` plans is done here, and whoever waits is told.

Every method belongs to one event loop. Where adapters live is changed only between two steps of the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from graftwork.core.errors import CapacityError, OverloadedError, WorkError
from graftwork.core.units import bytes_text
from graftwork.serving.models import residency
from graftwork.serving.models.judging import Verdict
from graftwork.serving.models.residency import Plan, State

if TYPE_CHECKING:
    from graftwork.adapters.bank import Handle
    from graftwork.serving.interface import Engine
    from graftwork.serving.models.store import AdapterStore, PutIn

T = TypeVar("T")
RETRY_S = 1.0
"""After so long a server that is going down may have been replaced."""

SHORTEST_WAIT_S = 0.01
"""Before memory is planned again for a waiter whose patience ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InMemory:
    """A version that answers.

    Attributes:
        content: digest of what its adapters compute.
        row: what of the engine's adapters answers.
    """

    version: str
    content: str
    row: tuple[Handle, ...]
    num_bytes: int
    verdict: Verdict


class Memory:
    """Who is in memory, who waits, who holds what.

    Attributes:
        state: what `residency` decides on.
        evicted: called with each version that left to make room.
    """

    def __init__(
        self,
        engine: Engine,
        store: AdapterStore,
        *,
        budget_bytes: int,
        patience_s: float,
        clock: Callable[[], float],
        evicted: Callable[[str], None],
    ) -> None:
        self.state = State(budget_bytes=budget_bytes)
        self._engine, self._store = engine, store
        self._patience_s, self._clock, self._evicted = patience_s, clock, evicted
        self._ready: dict[str, InMemory] = {}
        self._rows: dict[str, tuple[Handle, ...]] = {}
        self._asking: dict[str, asyncio.Future[bool]] = {}
        self._left: dict[str, asyncio.Future[None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._moving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def __getitem__(self, version: str) -> InMemory:
        return self._ready[version]

    def __contains__(self, version: str) -> bool:
        """Whether a version answers, also when it takes no more requests."""
        return version in self._ready

    @property
    def versions(self) -> Mapping[str, InMemory]:
        """All that answer."""
        return self._ready

    def acquire(self, version: str, *, was_waited_for: bool = False) -> InMemory | None:
        """Hold a version, if it is there and takes requests.

        Args:
            was_waited_for: by who asks while it came. Such are answered also when others have begun to wait for its
                memory meanwhile, or two that make room for each other would never answer anybody.
        """
        found = self.state.find(version)
        if found is None or version not in self._ready or not (found.is_open or was_waited_for):
            return None
        self.state = residency.acquired(self.state, version)
        return self._ready[version]

    def release(self, version: str) -> None:
        """One holder fewer."""
        found = self.state.find(version)
        assert found is not None, f"{version} was released more often than it was acquired"
        assert found.holders > 0, f"{version} was released more often than it was acquired"
        self.state = residency.released(self.state, version)
        self.replan()

    async def room(self, version: str, num_bytes: int) -> bool:
        """Wait for memory.

        Returns:
            Whether it is given, and held; false when the version is in memory and takes requests again, or when
            nobody waits for it any more.

        Raises:
            CapacityError: so much can never be freed.
        """
        found = self.state.find(version)
        if found is not None and found.is_open:
            return False
        self._asking[version] = asyncio.get_running_loop().create_future()
        self.state = residency.waited_for(self.state, version, num_bytes, since_s=self._clock())
        try:
            self.replan()
            return await self._asking[version]
        finally:
            del self._asking[version]
            self.state = residency.given_up(self.state, version)

    def give_up(self, version: str) -> None:
        """Nobody waits for a version any more; if its memory is not given yet, it will not be."""
        if version in self._asking:
            _tell(self._asking[version], False)
            self.state = residency.given_up(self.state, version)
            self.replan()

    async def bring_in(self, version: str, put_in: PutIn) -> tuple[Handle, ...]:
        """Have adapters put in that a store has ready; the row. Raises as `AdapterStore.ready` says."""
        self._rows[version] = await between(self._engine, put_in)
        return self._rows[version]

    def put(self, made: InMemory) -> None:
        """It answers from now on; whoever brought it in still holds it."""
        self._ready[made.version] = made

    async def drop(self, version: str) -> None:
        """Take out what was to be brought in and is not to answer."""
        await self._take_out(version)
        self.state = residency.taken_out(self.state, version)
        self.replan()

    def pin(self, version: str, *, is_pinned: bool) -> None:
        """Let it stay, or let it go again."""
        self.state = residency.pinned(self.state, version, is_pinned=is_pinned)
        self.replan()

    async def unload(self, version: str) -> int:
        """Let it take no more requests, wait until it holds none, take it out; bytes freed."""
        num_bytes = self._ready[version].num_bytes
        left = self._left.setdefault(version, asyncio.get_running_loop().create_future())
        self.state = residency.leaving(self.state, version)
        self.replan()
        await asyncio.shield(left)
        return num_bytes

    def replan(self) -> None:
        """Decide again, and begin to do it."""
        while self._carry_out(residency.plan(self.state, now_s=self._clock(), patience_s=self._patience_s)):
            pass  # what leaves may make room for one that was waited for while it was leaving
        self._wake_when_patience_ends()

    def _carry_out(self, plan: Plan) -> bool:
        """Whether anything leaves or comes."""
        self.state = residency.after(self.state, plan)
        self.state.check()
        for version in plan.ready:
            _tell(self._asking.get(version), False)
        for version in plan.hopeless:
            _refuse(self._asking.get(version), self._too_large)
        for version in plan.evict:
            self._ready.pop(version, None)
        if plan.moves_memory:
            task = asyncio.get_running_loop().create_task(self._move(plan))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return plan.moves_memory

    async def close(self) -> None:
        """Let what is being moved come to its end."""
        if self._alarm:
            self._alarm.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _move(self, plan: Plan) -> None:
        """First out, then in; one plan after the other, so that nothing comes before what made room for it has left."""
        async with self._moving:
            for version in plan.evict:
                await self._take_out(version)
                if left := self._left.pop(version, None):
                    _tell(left, None)
                self._evicted(version)
            for version in plan.load:
                if not _tell(self._asking.get(version), True):
                    self.state = residency.taken_out(self.state, version)
        if plan.load:
            self.replan()

    async def _take_out(self, version: str) -> None:
        if row := self._rows.pop(version, ()):
            with suppress(OverloadedError):  # an engine that has ended holds nothing
                await between(self._engine, partial(self._store.take_out, row))

    def _too_large(self) -> CapacityError:
        pinned = sum(one.num_bytes for one in self.state.residents if one.is_pinned)
        return CapacityError(
            f"it is larger than the {bytes_text(self.state.budget_bytes)} for adapters in memory leave, "
            f"{bytes_text(pinned)} of which are pinned. Raise models.memory, or unpin."
        )

    def _wake_when_patience_ends(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        now_s = self._clock()
        ends_in_s = [one.since_s + self._patience_s - now_s for one in self.state.waiting]
        if to_come_s := [end_s for end_s in ends_in_s if end_s > 0]:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(min(to_come_s) + SHORTEST_WAIT_S, self.replan)


async def between(engine: Engine, work: Callable[[], T]) -> T:
    """What `work` gives, done in the engine's thread between two steps. Raises OverloadedError when it has ended."""
    future = engine.between_steps(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if future.cancelled() and not (task and task.cancelling()):
            raise OverloadedError("the engine is closing.", retry_after_s=RETRY_S) from None
        raise
    except WorkError as error:
        if engine.is_alive:
            raise
        raise OverloadedError("the engine has ended.", retry_after_s=RETRY_S) from error


def _tell(asking: asyncio.Future[T] | None, value: T) -> bool:
    """Whether anybody was waiting for it."""
    if asking is None or asking.done():
        return False
    asking.set_result(value)
    return True


def _refuse(asking: asyncio.Future[bool] | None, make: Callable[[], Exception]) -> None:
    if asking is not None and not asking.done():
        asking.set_exception(make())
