"""Names to versions that are in memory and proved: the `Models` of a server with a registry.

A name is resolved once a request. When it is moved, what it means now is loaded and proved while what it meant goes on
to answer; only then are new requests given the one it means now. What was refused changes nothing but a report.

Every method belongs to one event loop, but for `release`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Self, TypeVar

from graftwork.adapters.probing import dtype_name
from graftwork.core.errors import (
    ConflictError,
    GraftworkError,
    NotFoundError,
    OverloadedError,
    Problem,
    SpecError,
)
from graftwork.registry import naming, versions
from graftwork.registry.access.roles import Principal
from graftwork.serving.asked import Served
from graftwork.serving.models.disk import DiskCache
from graftwork.serving.models.listing import Listed, ModelsReport, listed
from graftwork.serving.models.loading import Event, Loads
from graftwork.serving.models.memory import InMemory, Memory
from graftwork.serving.models.names import Called, Names, ServedStage, called, called_text, head, names_of, unknown
from graftwork.serving.models.proving import Prover
from graftwork.serving.models.spec import ModelsSpec

if TYPE_CHECKING:
    from graftwork.registry.state import Registry
    from graftwork.serving.interface import Engine
    from graftwork.serving.models.store import AdapterStore

T = TypeVar("T")
Key = tuple[str, str, ServedStage]
"""Tenant, name and stage."""


class RegistryModels:
    """The versions of a registry on one engine. `async with` it."""

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        store: AdapterStore,
        *,
        cache: Path,
        name: str = "base",
        spec: ModelsSpec | None = None,
        told: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: where the engine's adapters live; nobody else puts any in.
            cache: folder for adapters on the local disk, of this process alone.
            name: what the base is called.
            told: hears of everything that becomes of versions, in the event loop; must not raise.

        Raises:
            ConflictError: another process has the folder.
        """
        self.spec = spec or ModelsSpec()
        self._registry, self._told = registry, told
        base = store.base
        self.base = Served(name=name, version=None, content=base.fingerprint.weights, row=None)
        self._threads = ThreadPoolExecutor(self.spec.loaders, thread_name_prefix="graftwork-loader")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="graftwork-names")
        self.memory = Memory(
            engine,
            store,
            budget_bytes=self.spec.memory,
            patience_s=self.spec.patience_s,
            clock=monotonic,
            evicted=lambda version: told(Event(kind="evicted", version=version)),
        )
        self._disk = DiskCache(cache, registry.blobs, budget_bytes=self.spec.disk)
        self.loads = Loads(
            registry=registry,
            base=base,
            memory=self.memory,
            store=store,
            disk=self._disk,
            prover=Prover(engine, self.base, dtype=dtype_name(base)),
            threads=self._threads,
            refused_s=self.spec.refused_s,
            clock=monotonic,
            told=told,
        )
        self._names: dict[str, Names] = {}
        self._answered_by: dict[Key, str] = {}
        self._pins: set[Key] = set()
        self._following: dict[Key, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Begin to watch the registry."""
        self._loop = asyncio.get_running_loop()
        self._watch = self._loop.create_task(self._watching())
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Stop; what is in memory stays there for requests under way."""
        tasks = [*self._following.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loads.close()
        await self.memory.close()
        self._threads.shutdown()
        self._readers.shutdown()
        self._disk.close()

    async def acquire(self, who: Principal, name: str) -> Served:
        """As `Models.acquire`.

        Raises:
            DeniedError: who asks may not read.
            NotFoundError: there is no such name, or it is another tenant's.
            IntegrityError: it was refused; the reason is in the message.
            CapacityError: it is larger than all memory for adapters.
            OverloadedError: no room can be made for it in time.
            WorkError: it could not be loaded for a reason that is not its own.
        """
        who.refuse_unless("read")
        if name == self.base.name:
            return self.base
        made, _ = await self._held(who, name)
        row = made.row[0] if len(made.row) == 1 else made.row
        return Served(name=name, version=made.version, content=made.content, row=row)

    def release(self, served: Served) -> None:
        """As `Models.release`; from any thread."""
        if served.version is None or self._loop is None:
            return
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                self.memory.release(served.version)
                return
        with suppress(RuntimeError):  # the loop is closed, and with it all that could be released
            self._loop.call_soon_threadsafe(self.memory.release, served.version)

    async def listed(self, who: Principal) -> tuple[Listed, ...]:
        """The base, and every name of the tenant with what it means and what answers for it."""
        names = await self._read(who)
        kept = await self._in_thread(versions.all_versions, self._registry, who)
        return listed(
            names,
            {version.digest: version for version in kept},
            base=self.base,
            answered_by={key[1:]: version for key, version in self._answered_by.items() if key[0] == who.tenant},
            memory=self.memory,
            failures=self.loads.failures,
        )

    async def load(self, who: Principal, name: str) -> InMemory:
        """Bring what a name means into memory, and prove it, whatever came of it a moment ago. Raises as `acquire`."""
        who.refuse_unless("promote")
        made, _ = await self._held(who, name, tries_again=True)
        self.memory.release(made.version)
        return made

    async def pin(self, who: Principal, name: str) -> InMemory:
        """Keep what a name means in memory, whatever it will mean, until it is unpinned. Raises as `acquire`."""
        who.refuse_unless("promote")
        made, key = await self._held(who, name, tries_again=True)
        try:
            if key is None:
                hint = "It stays where its name points to, so that names that move take their pins along."
                raise SpecError([Problem("name", name, "a name, or a name and a stage", hint)])
            self._pins.add(key)
            self.memory.pin(made.version, is_pinned=True)
        finally:
            self.memory.release(made.version)
        return made

    async def unpin(self, who: Principal, name: str) -> None:
        """Let it leave again. Raises NotFoundError when it is not pinned."""
        who.refuse_unless("promote")
        key = _key(who, called(name))
        if key not in self._pins:
            raise NotFoundError(f"{name!r} is not pinned.")
        self._pins.discard(key)
        self._settle_pins(self._answered_by.get(key))

    async def unload(self, who: Principal, name: str) -> int:
        """Take what a name means out of memory when the requests that it answers have ended; bytes freed.

        Raises:
            NotFoundError: there is no such name.
            ConflictError: it is pinned.
        """
        who.refuse_unless("promote")
        asked, names = await self._asked(who, name)
        key = _key(who, asked)
        version = self._answered_by.get(key) if key else None
        version = version or await self._version_meant(who, name, asked, names)
        if self._is_pinned(version):
            raise ConflictError(f"{name!r} is pinned. Unpin it first.")
        return await self.memory.unload(version) if version in self.memory else 0

    async def refresh(self) -> None:
        """Look at once whether names were moved: after a move through this process."""
        for tenant in list(self._names):
            await self._read(_reader(tenant))

    def report(self) -> ModelsReport:
        """How memory stands; from any thread."""
        state = self.memory.state
        return ModelsReport(
            resident=len(self.memory.versions),
            used_bytes=state.used_bytes,
            budget_bytes=state.budget_bytes,
            pinned_bytes=sum(one.num_bytes for one in state.residents if one.is_pinned),
            disk_bytes=self._disk.used_bytes,
            waiting=len(state.waiting),
            loading=self.loads.num_loading,
        )

    async def _held(self, who: Principal, name: str, *, tries_again: bool = False) -> tuple[InMemory, Key | None]:
        """What a name means now, held; and where the name stands, if it may move."""
        asked, names = await self._asked(who, name)
        wanted = await self._version_meant(who, name, asked, names)
        key = _key(who, asked)
        current = self._answered_by.get(key) if key else None
        if current is not None and not tries_again and (made := self.memory.acquire(current)):
            return made, key
        wait_s = self.spec.wait_s
        try:
            made = await self.loads.held(who, wanted, wait_s=wait_s, tries_again=tries_again)
        except OverloadedError:
            raise
        except GraftworkError:
            if tries_again or current is None or current == wanted:
                raise
            made = await self.loads.held(who, current, wait_s=wait_s)  # what the name meant before goes on
        if key:
            self._came(key, made.version)
        return made, key

    async def _asked(self, who: Principal, name: str) -> tuple[Called, Names]:
        names = self._names.get(who.tenant) or await self._read(who)
        asked = called(name)
        if asked and asked.prefix is None and (asked.name, asked.stage) not in names.at:
            names = await self._read(who)  # it may have been made since
        if asked is None:
            raise unknown(name, [self.base.name, *names.texts()])
        return asked, names

    async def _version_meant(self, who: Principal, name: str, asked: Called, names: Names) -> str:
        """The digest of the version that a name means."""
        known = [self.base.name, *names.texts()]
        if asked.prefix is not None:
            return await self._in_thread(_by_prefix, self._registry, who, asked, unknown(name, known))
        if (asked.name, asked.stage) not in names.at:
            raise unknown(name, known)
        return names.at[asked.name, asked.stage]

    async def _read(self, who: Principal) -> Names:
        """What the tenant's names mean, read now; names that moved are followed."""
        names = await self._in_thread(names_of, self._registry, who)  # one thread: what is read later comes later
        self._names[who.tenant] = names
        self._follow_all()
        return names

    async def _watching(self) -> None:
        seen, is_told = -1, False
        while True:
            await asyncio.sleep(self.spec.poll_s)
            try:
                if (now := await self._in_thread(head, self._registry)) != seen:
                    await self.refresh()
                    seen = now
                is_told = False
            except GraftworkError as error:  # what is in memory goes on to answer
                if not is_told:
                    self._told(Event(kind="failed", version="", reason=f"the registry cannot be read: {error}"))
                is_told = True
            self._follow_all()

    def _follow_all(self) -> None:
        for key in list(self._answered_by):
            self._follow(key)

    def _follow(self, key: Key) -> None:
        """Have a name answered by what it means now, once that is proved."""
        wanted, current = self._meant(key), self._answered_by[key]
        if wanted is None:
            del self._answered_by[key]
            self._pins.discard(key)
            self._settle_pins(current)
        elif wanted == current or key in self._following:
            return
        elif wanted in self.memory:
            self._switch(key, wanted)
        elif current in self.memory and not self.loads.failure_now(wanted):
            self._following[key] = asyncio.get_running_loop().create_task(self._come_up(key, wanted))

    async def _come_up(self, key: Key, wanted: str) -> None:
        try:
            made = await self.loads.held(_reader(key[0]), wanted)
        except GraftworkError as error:
            self._told(Event(kind="kept", version=wanted, reason=str(error), tenant=key[0], name=called_text(*key[1:])))
        else:
            self._came(key, made.version)
            self.memory.release(made.version)
        finally:
            del self._following[key]
        if key in self._answered_by and self._meant(key) != wanted:
            self._follow(key)  # it moved on meanwhile

    def _came(self, key: Key, version: str) -> None:
        """A version is there that a name means, or meant when it was asked for."""
        before = self._answered_by.get(key)
        if before is None or before not in self.memory or self._meant(key) == version:
            self._switch(key, version)
        self._follow(key)

    def _switch(self, key: Key, version: str) -> None:
        before = self._answered_by.get(key)
        if before == version:
            return
        self._answered_by[key] = version
        if key in self._pins:
            self.memory.pin(version, is_pinned=True)
            self._settle_pins(before)
        if before is not None:
            self._told(Event(kind="moved", version=version, tenant=key[0], name=called_text(*key[1:])))

    def _meant(self, key: Key) -> str | None:
        return self._names[key[0]].at.get((key[1], key[2]))

    def _is_pinned(self, version: str) -> bool:
        return any(self._answered_by.get(key) == version for key in self._pins)

    def _settle_pins(self, version: str | None) -> None:
        """Unpin a version unless a pinned name is answered by it."""
        if version is not None and not self._is_pinned(version):
            self.memory.pin(version, is_pinned=False)

    async def _in_thread(self, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *given)


def _key(who: Principal, asked: Called | None) -> Key | None:
    return (who.tenant, asked.name, asked.stage) if asked and asked.prefix is None else None


def _reader(tenant: str) -> Principal:
    return Principal(actor="server", tenant=tenant, permissions=frozenset({"read"}))


def _by_prefix(registry: Registry, who: Principal, asked: Called, missing: NotFoundError) -> str:
    """A version by its beginning, if the name ever meant it."""
    assert asked.prefix is not None
    try:
        found = versions.find(registry, who, asked.prefix)
        moves = naming.history(registry, who, asked.name)
    except NotFoundError:
        raise missing from None
    if not any(move.after == found for move in moves):
        raise missing
    return found
