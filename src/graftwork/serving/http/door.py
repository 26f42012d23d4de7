"""What every request passes: it gets an id, is of bearable size, has a key, and comes while the server takes any."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect

from graftwork.serving.http.draining import Service
from graftwork.serving.http.errors import LOG, ApiError, ReaderGoneError, error_of, later
from graftwork.serving.http.keys import Keys
from graftwork.serving.http.seams import Watcher
from graftwork.serving.spec import ServeSpec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/health/live", "/health/ready"})
"""Paths that ask for no key; there are no others."""

WHILE_DRAINING = OPEN | {"/metrics", "/admin/v1/status"}


class Reply:
    """The way back of one request: puts its id on the answer, and ends a connection whose reader takes nothing."""

    def __init__(self, scope: Scope, send: Send, request_id: str, stalled_s: float) -> None:
        self._send, self._id, self._stalled_s = send, request_id, stalled_s
        self._abort = scope.get("extensions", {}).get("graftwork.abort")
        self.status: int | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """As ASGI's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._id.encode())]
        try:
            async with asyncio.timeout(self._stalled_s):
                await self._send(message)
        except TimeoutError:
            LOG.warning("request %s: its reader took nothing for %s s; connection ended", self._id, self._stalled_s)
            await self.abort()
            raise ReaderGoneError from None

    async def abort(self) -> None:
        """End the connection, whatever has not been read yet."""
        if self._abort is not None:
            self._abort()
            await asyncio.sleep(0)  # for the server to hear of it


class Door:
    """Stands before the app."""

    def __init__(self, app: App, spec: ServeSpec, keys: Keys, service: Service, watcher: Watcher) -> None:
        self._app, self._spec, self._keys, self._service, self._watcher = app, spec, keys, service, watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI's app."""
        if scope["type"] != "http":
            return
        request_id, began_s = f"req_{secrets.token_hex(12)}", time.monotonic()
        reply = Reply(scope, send, request_id, self._spec.times.stalled_s)
        scope["state"] = {**scope.get("state", {}), "id": request_id, "reply": reply, "began_s": began_s, "who": None}
        try:
            with self._service.one_more():
                await self._let_in(scope)
                await self._app(scope, receive, reply.send)
        except Exception as error:  # noqa: BLE001  the one place where every exception becomes an answer
            await self._refuse(error, scope, receive, reply)
        finally:
            self._tell(scope, reply, time.monotonic() - began_s)

    async def _let_in(self, scope: Scope) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"]) + len(scope.get("raw_path") or b"")
        if size > self._spec.limits.headers:
            message = f"The request's headers have {size} bytes; at most {self._spec.limits.headers} are read."
            raise ApiError(431, message, code="headers_too_large", closes=True)
        if scope["path"] not in OPEN:
            scope["state"]["who"] = await self._keys.holder(_header(scope, b"authorization"))
        if self._service.is_draining and scope["path"] not in WHILE_DRAINING:
            raise later(503, "This server is going out of service.", self._spec.times.drain_s, code="draining")

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, reply: Reply) -> None:
        if isinstance(error, ReaderGoneError | ClientDisconnect):
            await reply.abort()
            return
        told = error_of(error, scope["state"]["id"])
        if reply.status is not None:  # the answer is under way: its form cannot change any more
            await reply.abort()
            return
        with suppress(ReaderGoneError):
            await told.response()(scope, receive, reply.send)

    def _tell(self, scope: Scope, reply: Reply, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "") if route is not None else ""
        who = scope["state"]["who"]
        self._watcher.answered(scope["method"], path, reply.status or 499, who, seconds)


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None
