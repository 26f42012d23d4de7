"""Whether the server takes requests: ready, in use by so many, going out of service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Service:
    """In or out of service.

    Attributes:
        is_ready: whether its models are in memory.
        is_draining: whether it takes no new requests.
        under_way: requests that are not answered whole yet.
    """

    def __init__(self) -> None:
        self.is_ready = self.is_draining = False
        self.under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """A request is under way."""
        self.under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._idle.set()

    async def idle(self, within_s: float) -> bool:
        """Wait until no request is under way, or so long; whether there is none."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
