"""What other threads want of an engine, in the order in which they said it, and telling them what came of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any, TypeVar

from graftwork.core.errors import OverloadedError, WorkError

if TYPE_CHECKING:
    from graftwork.serving.asked import Ask, Update

T = TypeVar("T")
LOG = logging.getLogger("graftwork.serving")


@dataclass(frozen=True, slots=True)
class Joins:
    """A request."""

    ask: Ask
    told: Callable[[Update], None]


@dataclass(frozen=True, slots=True)
class Leaves:
    """The request of an id is to end."""

    id: str


@dataclass(frozen=True, slots=True)
class Works:
    """Something to be done between steps."""

    work: Callable[[], Any]
    done: Future[Any]

    def do(self, then: Callable[[], None] = lambda: None) -> None:
        """Do it, and `then` something, before who asked is told; nothing if nobody waits any more. What goes wrong
        belongs to whoever asked, in another thread."""
        if not self.done.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
            then()
        except BaseException as error:  # noqa: BLE001  as said above
            self.done.set_exception(error)
        else:
            self.done.set_result(result)


Said = Joins | Leaves | Works


class Inbox:
    """A queue that an engine sleeps at."""

    def __init__(self) -> None:
        self._changed, self._said = Condition(), deque[Said]()
        self.is_closed = False

    def join(self, ask: Ask, told: Callable[[Update], None], *, num_waiting: int, most_waiting: int) -> None:
        """Say that a request comes. Raises OverloadedError when too many wait, or nobody hears it any more."""
        if num_waiting >= most_waiting and not ask.is_urgent:
            raise OverloadedError(f"{num_waiting} requests wait already.", retry_after_s=1 + num_waiting / 50)
        if not self.put(Joins(ask, told)):
            raise OverloadedError("the engine has ended.", retry_after_s=5)

    def work(self, work: Callable[[], T]) -> Future[T]:
        """Say that something is to be done between two steps; what it gives."""
        done: Future[T] = Future()
        if not self.put(Works(work, done)):
            done.set_exception(WorkError("the engine has ended."))
        return done

    def put(self, one: Said) -> bool:
        """Say it; whether somebody is still there to hear."""
        with self._changed:
            if not self.is_closed:
                self._said.append(one)
                self._changed.notify()
            return not self.is_closed

    def num_joining(self) -> int:
        """Requests that the engine has not looked at yet."""
        with self._changed:
            return sum(isinstance(one, Joins) for one in self._said)

    def close(self) -> None:
        """Nothing more is taken."""
        with self._changed:
            self.is_closed = True
            self._changed.notify()

    def taken(self, *, waits: bool) -> list[Said]:
        """All that was said since; if `waits`, not before something was, or the end."""
        with self._changed:
            while waits and not self._said and not self.is_closed:
                self._changed.wait()
            found = list(self._said)
            self._said.clear()
            return found


class Request:
    """A request under way, and whom to tell of it.

    Attributes:
        cached_tokens: of the prompt, those that were not computed.
    """

    __slots__ = ("_told", "ask", "cached_tokens")

    def __init__(self, ask: Ask, told: Callable[[Update], None]) -> None:
        self.ask, self._told, self.cached_tokens = ask, told, 0

    def tell(self, update: Update) -> None:
        """Tell whoever asked. One who fails at hearing it must not stop the engine for all others."""
        try:
            self._told(update)
        except Exception:
            LOG.exception("request %s cannot be told", self.ask.id)
