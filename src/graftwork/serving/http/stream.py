"""Server-sent events: chunks as they come, comments while nothing does, an error where the answer breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from graftwork.serving.http.answering import Answers, until_gone
from graftwork.serving.http.errors import ReaderGoneError, error_of
from graftwork.serving.http.openai.forms import Form

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
HEARTBEAT = b": still here\n\n"
DONE = b"data: [DONE]\n\n"


class EventStream(Response):
    """An answer that is told while it comes."""

    media_type = "text/event-stream"

    def __init__(self, answers: Answers, form: Form, *, deadline_s: float, tells_usage: bool) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._answers, self._form = answers, form
        self._deadline_s, self._tells_usage = deadline_s, tells_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI's app."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await until_gone(receive, self._told(scope, send), self._deadline_s + 1.0)
        finally:
            self._answers.close()

    async def _told(self, scope: Scope, send: Send) -> None:
        try:
            async with asyncio.timeout_at(self._deadline_s):
                async for content in self._content():
                    await send({"type": "http.response.body", "body": content, "more_body": True})
        except ReaderGoneError:
            raise
        except Exception as error:  # noqa: BLE001  the answer's status is sent: the stream itself tells the error
            body = error_of(error, scope["state"]["id"]).body
            await send({"type": "http.response.body", "body": _event(body), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _content(self) -> AsyncIterator[bytes]:
        async for spoken in self._answers.spoken():
            if spoken is None:
                yield HEARTBEAT
                continue
            for chunk in self._form.chunks(spoken):
                yield _event(chunk)
        if self._tells_usage:
            yield _event(self._form.usage_chunk())
        yield DONE


def _event(told: BaseModel) -> bytes:
    text: Any = told.model_dump_json(exclude_unset=True)
    return f"data: {text}\n\n".encode()
