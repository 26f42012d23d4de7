"""What other threads want of the engine, in the order in which they said it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graftwork.serving.asked import Ask, Update


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


Said = Joins | Leaves | Works


class Inbox:
    """A queue that an engine sleeps at."""

    def __init__(self) -> None:
        self._changed, self._said = Condition(), deque[Said]()
        self.is_closed = False

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
