"""One version from the registry into memory: fetched, read, put in, proved; for all who ask for it at once.

Every method belongs to one event loop; what takes long is done in a loader's thread, or in the engine's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graftwork.base.threads import given_back
from graftwork.core.errors import (
    CapacityError,
    ConflictError,
    GraftworkError,
    IntegrityError,
    NotFoundError,
    OverloadedError,
    SpecError,
    WorkError,
)
from graftwork.serving.asked import Served
from graftwork.serving.models.lineage import Lineage, content_of, lineage_of, refuse_unservable
from graftwork.serving.models.memory import RETRY_S, InMemory, Memory
from graftwork.serving.models.reading import bytes_in, read_lineage
from graftwork.serving.models.store import share_bytes

if TYPE_CHECKING:
    from graftwork.adapters.logits import LogitFingerprint
    from graftwork.base.load import Base
    from graftwork.registry.access.roles import Principal
    from graftwork.registry.state import Registry
    from graftwork.serving.models.disk import DiskCache
    from graftwork.serving.models.proving import Prover
    from graftwork.serving.models.store import AdapterStore, PutIn

MOST_FAILURES = 1000
"""Versions of which it is kept why they did not load."""

REFUSALS = (IntegrityError, SpecError, NotFoundError, ConflictError)
"""What says that a version itself is wrong."""


EventKind = Literal["loaded", "refused", "failed", "evicted", "moved", "kept"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What became of a version, for logs and metrics.

    Attributes:
        kind: loaded: it answers. refused: it is not what it should be. failed: something else went wrong. evicted:
            it left to make room, or was unloaded. moved: a name is answered by it from now on. kept: a name was moved
            to it and is answered by what it meant before, for the reason.
        name: as clients call it, where it is about a name.
        seconds: that the load took.
    """

    kind: EventKind
    version: str
    reason: str = ""
    tenant: str = ""
    name: str = ""
    num_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a version is not in memory.

    Attributes:
        until_s: it is not tried again before.
    """

    kind: Literal["refused", "failed", "too large"]
    reason: str
    until_s: float

    def error(self, version: str) -> GraftworkError:
        """To be raised for one of those who asked."""
        short = version[:12]
        if self.kind == "refused":
            return IntegrityError(f"version {short} is refused: {self.reason}")
        if self.kind == "too large":
            return CapacityError(f"version {short} cannot be loaded: {self.reason}")
        return WorkError(f"version {short} could not be loaded: {self.reason}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A lineage on the local disk, where it stays until `stack` is closed."""

    lineage: Lineage
    folders: tuple[Path, ...]
    num_bytes: int
    stack: ExitStack


Ticket = asyncio.Future["InMemory | Failure | OverloadedError"]


@dataclass(kw_only=True, slots=True, eq=False)
class Loads:
    """Versions on their way into memory, and why others are not there.

    Attributes:
        store: where the engine's adapters live.
        threads: in which files are fetched and read.
        refused_s: for so long a version that did not load is not tried again.
        told: must not raise.
        failures: by version, the last one; kept until a load succeeds.
    """

    registry: Registry
    base: Base
    memory: Memory
    store: AdapterStore
    disk: DiskCache
    prover: Prover
    threads: Executor
    refused_s: float
    clock: Callable[[], float]
    told: Callable[[Event], None]
    failures: OrderedDict[str, Failure] = field(default_factory=OrderedDict)
    _tickets: dict[str, list[Ticket]] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _proved_whole: set[str] = field(default_factory=set)

    async def held(
        self, who: Principal, version: str, *, wait_s: float | None = None, tries_again: bool = False
    ) -> InMemory:
        """The version in memory, proved, with one holder more.

        Args:
            who: sees the version.
            wait_s: most seconds to wait; None for no limit.
            tries_again: also when it was refused a moment ago.

        Raises:
            IntegrityError: it was refused.
            CapacityError: it can never fit.
            OverloadedError: there was no room for it in time, or the engine is draining.
            WorkError: something else went wrong.
        """
        if found := self.memory.acquire(version):
            return found
        if not tries_again and (failure := self.failure_now(version)):
            raise failure.error(version)
        ticket: Ticket = asyncio.get_running_loop().create_future()
        self._tickets.setdefault(version, []).append(ticket)
        if version not in self._tasks:
            self._tasks[version] = asyncio.get_running_loop().create_task(self._load(who, version))
        try:
            await asyncio.wait({ticket}, timeout=wait_s)
        except asyncio.CancelledError:
            self._give_back(version, ticket)
            raise
        if not ticket.done():
            self._give_back(version, ticket)
            raise OverloadedError(
                f"version {version[:12]} could not be brought into memory within {wait_s:g} s.", retry_after_s=RETRY_S
            )
        outcome = ticket.result()
        if isinstance(outcome, Failure):
            raise outcome.error(version)
        if isinstance(outcome, OverloadedError):
            raise OverloadedError(str(outcome), retry_after_s=outcome.retry_after_s)
        return outcome

    def failure_now(self, version: str) -> Failure | None:
        """Why a version is not tried at this moment."""
        failure = self.failures.get(version)
        return failure if failure and self.clock() < failure.until_s else None

    @property
    def num_loading(self) -> int:
        """Versions on their way."""
        return len(self._tasks)

    async def close(self) -> None:
        """End what is on its way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _give_back(self, version: str, ticket: Ticket) -> None:
        """Whoever waited does so no longer, or was given it too late."""
        if ticket.done():
            if isinstance(ticket.result(), InMemory):
                self.memory.release(version)
            return
        self._tickets[version].remove(ticket)
        if not self._tickets[version]:
            self.memory.give_up(version)

    async def _load(self, who: Principal, version: str) -> None:
        """Until nobody waits for it any more."""
        try:
            while self._tickets[version] and not self._served(version):
                await self._bring_in(who, version)
        except asyncio.CancelledError:
            self._end(version, OverloadedError("the server is closing.", retry_after_s=RETRY_S))
            raise
        except OverloadedError as error:
            self._end(version, error)
        except REFUSALS as error:
            self._end(version, self._failed(version, "refused", str(error)))
        except CapacityError as error:
            self._end(version, self._failed(version, "too large", str(error)))
        except Exception as error:  # noqa: BLE001  whoever waits is told, whatever it is
            self._end(version, self._failed(version, "failed", f"{type(error).__name__}: {error}"))
        finally:
            self._tickets.pop(version, None)
            self._tasks.pop(version, None)

    async def _bring_in(self, who: Principal, version: str) -> None:
        loop, began_s = asyncio.get_running_loop(), self.clock()
        fetched = await loop.run_in_executor(self.threads, given_back, partial(self._fetch, who, version))
        with fetched.stack:
            least_bytes = share_bytes(self.memory.state.budget_bytes, self.store.most)
            num_bytes = max(fetched.num_bytes, self._sizes.get(version, 0), least_bytes)
            if not await self.memory.room(version, num_bytes):
                return
            try:
                reading = partial(read_lineage, fetched.lineage, fetched.folders, self.base)
                read = await loop.run_in_executor(self.threads, given_back, reading)
                if (needed := read.num_bytes(self.base.model.dtype.itemsize)) > num_bytes:
                    self._sizes[version] = needed  # once more, with so much room
                    await self.memory.drop(version)
                    return
                ready = self.store.ready(read.adapters, version[:12])
                putting = partial(fetched.stack.enter_context, ready)
                put_in = await loop.run_in_executor(self.threads, given_back, putting)
                made = await self._proved(version, fetched.lineage, read.recorded, put_in, num_bytes)
            except BaseException:
                await self.memory.drop(version)
                raise
        self.memory.put(made)
        self.failures.pop(version, None)
        self._served(version, has_come=True)
        self.memory.release(version)
        self.told(Event(kind="loaded", version=version, num_bytes=num_bytes, seconds=self.clock() - began_s))

    async def _proved(
        self, version: str, lineage: Lineage, recorded: LogitFingerprint, put_in: PutIn, num_bytes: int
    ) -> InMemory:
        content = content_of(lineage)
        row = await self.memory.bring_in(version, put_in)
        served = Served(name=version[:12], version=version, content=content, row=row)
        whole = version not in self._proved_whole  # the same bytes again: does this load act, too?
        verdict = await self.prover.verdict(served, recorded if whole else recorded.at_strongest())
        if not verdict.is_proved:
            self._proved_whole.discard(version)
            raise IntegrityError(verdict.reason)
        self._proved_whole.add(version)
        return InMemory(version=version, content=content, row=row, num_bytes=num_bytes, verdict=verdict)

    def _fetch(self, who: Principal, version: str) -> Fetched:
        """In a loader's thread."""
        lineage = lineage_of(self.registry, who, version)
        refuse_unservable(lineage, self.base.ref, self.base.fingerprint)
        with ExitStack() as stack:
            folders = tuple(stack.enter_context(self.disk.held(one.digest, one.manifest)) for one in lineage)
            return Fetched(
                lineage=lineage,
                folders=folders,
                num_bytes=bytes_in(folders, self.base.model.dtype.itemsize),
                stack=stack.pop_all(),
            )

    def _served(self, version: str, *, has_come: bool = False) -> bool:
        """Give it to all who wait, if it is there."""
        while self._tickets[version]:
            found = self.memory.acquire(version, was_waited_for=has_come)
            if found is None:
                return False
            self._tickets[version].pop(0).set_result(found)
        return True

    def _failed(self, version: str, kind: Literal["refused", "failed", "too large"], reason: str) -> Failure:
        reason = reason.replace(f"{self.disk.folder}/", "")  # where this server keeps its files is nobody's business
        failure = Failure(kind=kind, reason=reason, until_s=self.clock() + self.refused_s)
        self.failures.pop(version, None)
        self.failures[version] = failure
        if len(self.failures) > MOST_FAILURES:
            self.failures.popitem(last=False)
        self.told(Event(kind="refused" if kind == "refused" else "failed", version=version, reason=reason))
        return failure

    def _end(self, version: str, outcome: Failure | OverloadedError) -> None:
        for ticket in self._tickets[version]:
            ticket.set_result(outcome)
