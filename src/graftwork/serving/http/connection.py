"""Connections: their headers come in time, wrong ones are told in OpenAI's form, a stalled one can be ended at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from graftwork.serving.http.errors import ApiError

NO_REQUEST = ApiError(400, "This is no HTTP request, or its headers are too long.", code="bad_request")


class Connection(H11Protocol):
    """A connection; tells the app how to end it, as the extension `graftwork.abort`."""

    headers_s = 10.0
    """Seconds that a request has for its headers."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._inner: Any = self.app
        self.app = self._with_abort
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio's: it has so long to ask something."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio's."""
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """As uvicorn's: a next request that has begun has as long."""
        super().handle_events()
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None and self.conn.trailing_data[0]:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, in OpenAI's form."""
        content = json.dumps(NO_REQUEST.body.model_dump()).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    async def _with_abort(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), "graftwork.abort": self.transport.abort}
        await self._inner(scope, receive, send)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.headers_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def connections(headers_s: float) -> type[Connection]:
    """The class of connections whose requests have so long for their headers."""
    return type("Timed", (Connection,), {"headers_s": headers_s})
