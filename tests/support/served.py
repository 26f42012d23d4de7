"""A whole server on a socket of this machine, in a thread: the real app, a tiny base, keys of every role."""

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
import openai
from tests.support.solo_engine import SoloEngine

from graftwork.core.spec import parse
from graftwork.pipeline.local_models import LocalModel, LocalModels
from graftwork.pipeline.service import address_of, passing_registry, speech_of
from graftwork.registry.access.keys import authenticated, new_key, revoke
from graftwork.registry.access.roles import MAY
from graftwork.serving.http.parts import Parts
from graftwork.serving.http.server import HttpServer, bound
from graftwork.serving.spec import ServeSpec

QUICK = {"times": {"drain_s": 5.0, "key_s": 0.2, "stalled_s": 5.0, "request_s": 30.0}, "limits": {"body": "64 KiB"}}


@dataclass
class Server:
    """A server that runs.

    Attributes:
        keys: their texts, by what they are: the five roles, and none, expired, revoked, elsewhere.
    """

    url: str
    parts: Parts
    engine: Any
    keys: dict[str, str]
    http: HttpServer
    thread: threading.Thread

    def client(self, role="admin", **asked):
        """The official client."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.keys[role], max_retries=0, **asked)

    def later(self, role="admin", **asked):
        """The official client that is awaited."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.keys[role], max_retries=0, **asked)

    def plain(self, role="admin"):
        """A client that sends whatever it is told to."""
        headers = {"authorization": f"Bearer {self.keys[role]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@cache
def registry_with_keys():
    """One registry for all servers that need no other: keys are slow to make, on purpose."""
    registry, text = passing_registry()
    return registry, keys_of(registry, text)


def keys_of(registry, text):
    """Keys of every role, one that is past its end, one taken back, one of another tenant, and no key at all."""
    who = authenticated(registry, text)
    before = replace(registry, clock=lambda: datetime.now(UTC) - timedelta(seconds=30))
    past = datetime.now(UTC) - timedelta(seconds=10)
    keys = {role: new_key(registry, who, f"{role}.1", [role]) for role in MAY}
    keys["expired"] = new_key(before, who, "late", ["admin"], expires=past)
    keys["revoked"] = new_key(registry, who, "gone", ["admin"])
    revoke(registry, who, keys["revoked"].split("_")[1])
    keys["elsewhere"] = new_key(registry, who, "other", ["admin"], tenant="elsewhere")
    keys["none"] = "gw_000000000000_" + "a" * 43
    return keys


class GatedEngine(SoloEngine):
    """Tells so many tokens of each answer, then waits until the gate is open or nobody wants them."""

    def __init__(self, bank, *, first=3):
        super().__init__(bank)
        self.first, self.gate, self.reached = first, threading.Event(), threading.Event()
        self.cancels = []

    def submit(self, ask, told):
        """As SoloEngine's."""
        count = 0

        def tell(update):
            nonlocal count
            count += len(update.said)
            told(update)
            if count >= self.first and update.finish is None:
                self.reached.set()
                while not (self.gate.is_set() or self._is_closed or ask.id in self._cancelled):
                    self.gate.wait(0.005)

        super().submit(ask, tell)

    def cancel(self, id):
        """As SoloEngine's."""
        self.cancels.append(id)
        super().cancel(id)


class Notes:
    """A watcher that writes down what it is told, and lets a test wait for the end."""

    def __init__(self):
        self.begins, self.firsts, self.ends, self.replies = [], [], [], []
        self._changed = threading.Condition()

    def asked(self, asking, body, stops):
        """As Watcher's."""

    def receipt(self, ask_id):
        """As Watcher's."""

    def begun(self, ask, who):
        """As Watcher's."""
        self.begins.append((ask, who))

    def first_token(self, ask):
        """As Watcher's."""
        self.firsts.append(ask)

    def finished(self, ask, ended):
        """As Watcher's."""
        with self._changed:
            self.ends.append(ended)
            self._changed.notify_all()

    def has_ended(self, finish, times=1):
        """Wait until so many answers ended so; whether they did."""
        with self._changed:
            return self._changed.wait_for(lambda: [one.finish for one in self.ends].count(finish) >= times, 30)

    def answered(self, method, path, status, who, seconds):
        """As Watcher's."""
        self.replies.append((method, path, status))


@contextmanager
def served(bank, models=None, *, engine=None, spec=None, send_buffer=None, **parts):
    """A server over a bank; `models` are rows by name, or a whole implementation of the protocol."""
    registry, keys = registry_with_keys()
    engine = engine or SoloEngine(bank)
    if models is None or isinstance(models, dict):
        rows = {name: LocalModel(row=row, content=name) for name, row in (models or {}).items()}
        models = LocalModels(bank, "tiny", rows, tenant="default", made_us=1_700_000_000_000_000)
    whole = Parts(
        spec=parse(ServeSpec, {**QUICK, **(spec or {})}),
        speech=speech_of(bank),
        engine=engine,
        models=models,
        registry=registry,
    )
    if "registry" in parts:
        keys = parts.pop("keys")
    whole = replace(whole, **parts)
    began = threading.Event()
    server = HttpServer(whole, began.set)
    listener = bound("127.0.0.1", 0)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert began.wait(20)
    try:
        yield Server(address_of(listener), whole, engine, keys, server, thread)
    finally:
        if isinstance(engine, SoloEngine):
            engine.pause(False)
        if thread.is_alive():
            server.leave()
        thread.join(30)
        engine.close()
        assert not thread.is_alive()
