"""API keys at the door: verified slowly once, remembered for seconds by the digest of their text."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from graftwork.core.errors import DeniedError
from graftwork.registry.access.roles import Principal
from graftwork.serving.http.errors import ApiError, later

MOST_KEPT = 10_000
AT_ONCE, MOST_WAITING = 2, 64
"""Verifications at once, each of which takes a core and much memory on purpose, and those that may wait for one."""

NO_KEY = "Give an API key: Authorization: Bearer gw_..."


@dataclass(frozen=True, slots=True)
class Kept:
    """What a key was found to be, until a moment; a refused one is kept as None."""

    who: Principal | None
    until_s: float


class Keys:
    """Who holds a key.

    Args:
        verify: gives the holder of a key's text or raises DeniedError; runs in a thread.
        clock: seconds that never go back.
        kept_s: how long what was found is believed.
    """

    def __init__(self, verify: Callable[[str], Principal], clock: Callable[[], float], kept_s: float) -> None:
        self._verify, self._clock, self._kept_s = verify, clock, kept_s
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Principal]] = {}
        self._known, self._strange = Lane(), Lane()

    async def holder(self, header: str | None) -> Principal:
        """Who holds the key in an Authorization header.

        Raises:
            ApiError: 401 for none or a wrong one, 503 when too many strange ones are being looked at.
        """
        scheme, _, text = (header or "").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise _unknown(NO_KEY)
        digest = sha256(text.encode("utf-8", "surrogateescape")).digest()
        kept = self._kept.get(digest)
        if kept is not None and self._clock() < kept.until_s:
            return _told(kept.who)
        task = self._under_way.get(digest)
        if task is None:  # many requests with one key wait for one verification
            lane = self._known if kept is not None and kept.who else self._strange
            task = asyncio.create_task(self._found(digest, text, lane))
            self._under_way[digest] = task
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        return await asyncio.shield(task)

    async def _found(self, digest: bytes, text: str, lane: Lane) -> Principal:
        async with lane:
            try:
                who: Principal | None = await asyncio.to_thread(self._verify, text)
            except DeniedError:
                who = None
        self._kept[digest] = Kept(who, self._clock() + self._kept_s)
        self._kept.move_to_end(digest)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return _told(who)


class Lane:
    """So many verifications at once, and so many that wait: keys that held before never wait behind strange ones."""

    def __init__(self) -> None:
        self._places, self._waiting = asyncio.Semaphore(AT_ONCE), 0

    async def __aenter__(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise later(503, "Too many keys are being looked at. Try again soon.", 1.0, code="overloaded")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._places.release()


def _told(who: Principal | None) -> Principal:
    if who is None:
        raise _unknown("This API key opens nothing: it is unknown, revoked, or past its end.")
    return who


def _unknown(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
