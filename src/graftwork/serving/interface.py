"""The seams of serving, and what whoever fills them promises.

An engine:

1. Tells every request that it took exactly one last update, also when it is cancelled or the engine closes.
2. Gives a greedy request the same tokens whatever else is in its batches.
3. Never uses keys and values of one `Served.content` for another.

Models:

4. Resolve a name once a request; what they gave stays in memory until it is released.
5. Give an adapter out only when it was proved to act, and is the one of its name at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from graftwork.registry.access.roles import Principal
    from graftwork.serving.asked import Ask, EngineReport, Served, Update

T = TypeVar("T")


class Engine(Protocol):
    """Answers requests, many at once. Every method may be called from any thread."""

    @property
    def is_alive(self) -> bool:
        """Whether it still answers: it was not closed, and no mistake has ended it."""

    def submit(self, ask: Ask, told: Callable[[Update], None]) -> None:
        """Take a request; `told` is called in the engine's own thread, and must neither block nor raise.

        Raises:
            SpecError: it can never be answered here: too long, or larger than the whole cache.
            OverloadedError: too many wait already, or the engine is draining.
        """

    def cancel(self, id: str) -> None:
        """End a request at the next step; nothing happens when it has ended."""

    def between_steps(self, work: Callable[[], T]) -> Future[T]:
        """Have `work` done in the engine's thread while no forward pass runs: all changes to its bank go here."""

    def report(self) -> EngineReport:
        """How it stands."""

    def drain(self) -> None:
        """Take no more requests; those under way go on."""

    def close(self) -> None:
        """End: what is under way is cancelled."""


class Models(Protocol):
    """Names to versions that are in memory and proved."""

    async def acquire(self, who: Principal, name: str) -> Served:
        """The version that `name` means now, in memory and held.

        Raises:
            NotFoundError: there is no such name, or it is another tenant's.
            IntegrityError: it was refused; the reason is in the message.
            OverloadedError: no room can be made for it in time.
        """

    def release(self, served: Served) -> None:
        """One fewer needs it."""
