"""The process: a socket, the signals, and the way out of service."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from graftwork.core.errors import ConflictError, Problem, SpecError
from graftwork.serving.http.app import make_app
from graftwork.serving.http.connection import connections
from graftwork.serving.http.errors import LOG
from graftwork.serving.http.parts import Parts
from graftwork.serving.spec import ServeSpec

LAST_S = 5.0
"""For answers to tell that they were cancelled."""

BACKLOG = 512


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens nowhere yet, at an address that is this server's alone.

    Raises:
        ConflictError: somebody else has it.
        SpecError: there is no such address.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SpecError([Problem("host", host, "an address of this machine", str(error.strerror))]) from error
    found = socket.socket(family, kind, proto)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        if isinstance(error, PermissionError):
            raise SpecError(
                [Problem("port", port, "a port that this user may listen at", "Take one over 1023.")]
            ) from error
        raise ConflictError(f"{host}:{port} is taken, or no address of this machine. Give another --port.") from error
    found.set_inheritable(False)
    return found


class HttpServer(uvicorn.Server):
    """Serves until it is asked to end; then it takes nothing new, lets answers end, and cancels the rest."""

    def __init__(self, parts: Parts, began: Callable[[], None] = lambda: None) -> None:
        super().__init__(config_of(parts))
        self._parts, self._began = parts, began
        self._leaving: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with the models."""
        async with self._parts.models:
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then it is ready."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._parts.service.is_ready = True
        self._began()

    def leave(self) -> None:
        """Begin to go out of service; may be called from any thread or signal."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._leave)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal begins the way out, the second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, how in before.items():
                signal.signal(one, how)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does."""
        if self._loop is None or self._captured_signals:
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
            return
        self._captured_signals.append(sig)
        self.leave()

    def _leave(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._left())

    async def _left(self) -> None:
        service, drain_s = self._parts.service, self._parts.spec.times.drain_s
        service.is_draining = True
        LOG.info("going out of service: %s requests under way have %g s", service.under_way, drain_s)
        self._parts.engine.drain()
        if not await service.idle(drain_s):
            LOG.warning("%s requests are cancelled", service.under_way)
            await asyncio.to_thread(self._parts.engine.close)
            await service.idle(LAST_S)
        self.should_exit = True


def config_of(parts: Parts) -> uvicorn.Config:
    """How uvicorn is to serve."""
    spec: ServeSpec = parts.spec
    return uvicorn.Config(
        make_app(parts),
        loop="asyncio",
        http=connections(spec.times.headers_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=max(1, int(spec.times.idle_s)),
        timeout_graceful_shutdown=max(1, int(LAST_S)),
        h11_max_incomplete_event_size=spec.limits.headers,
    )


def serve(parts: Parts, listener: socket.socket, began: Callable[[], None]) -> None:
    """Serve at a bound socket until the process is asked to end; `began` is called once it takes requests."""
    HttpServer(parts, began).run(sockets=[listener])
    parts.engine.close()
