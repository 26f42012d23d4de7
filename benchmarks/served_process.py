"""A `graftwork serve` process for benchmarks: begun, asked by many at once, watched, ended."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

WAIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that takes requests."""

    process: subprocess.Popen[str]
    url: str
    names: tuple[str, ...]

    def client(self, key: str, **asked: Any) -> httpx.AsyncClient:
        """Many connections at once, with a key."""
        headers = {"authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_S, limits=limits, trust_env=False, **asked
        )

    def resident_bytes(self) -> int:
        """Memory of the process now."""
        return self._status("VmRSS")

    def most_resident_bytes(self) -> int:
        """The most that it ever had."""
        return self._status("VmHWM")

    def _status(self, what: str) -> int:
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB", told, re.MULTILINE)
        assert found, told
        return int(found[1]) << 10


@contextmanager
def serving(
    registry: Path, base: str, *, log: Path, settings: Mapping[str, Any] | None = None, port: int = 0
) -> Iterator[Running]:
    """A server over a registry; asked to end afterwards, and it must end in good order.

    Args:
        log: what it writes to standard error.
        settings: as in its file; written beside the log.
    """
    file = log.with_suffix(".yaml")
    file.write_text(json.dumps(dict(settings or {})))  # JSON is YAML
    words = ["--registry", registry, "--base", base, "--port", port, "--settings", file, "--json"]
    command = [sys.executable, "-m", "graftwork.cli", "serve", *map(str, words)]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)) as process,
    ):
        try:
            told = _told(process, log)
            yield Running(process=process, url=told["address"], names=tuple(told["names"]))
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(WAIT_S)) != 0:
                raise SystemExit(f"the server ended with {code}: {log.read_text()[-2000:]}")
        finally:
            process.kill()


def _told(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            return dict(json.loads("".join(lines)))
    raise SystemExit(f"no server: {log.read_text()[-2000:]}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        version: that answered; None for the base, and for an error.
        first_s: to the first piece of text, where it was streamed.
    """

    status: int
    text: str
    version: str | None
    first_s: float = 0.0
    whole_s: float = 0.0


def chat(model: str, question: str, **asked: Any) -> dict[str, Any]:
    """A greedy question in one turn."""
    return {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, **asked}


async def asked(client: httpx.AsyncClient, body: Mapping[str, Any]) -> Answer:
    """Ask and wait for the whole answer."""
    began = time.perf_counter()
    reply = await client.post("/v1/chat/completions", json=dict(body))
    told = reply.json()
    whole_s = time.perf_counter() - began
    if reply.status_code != 200:
        return Answer(status=reply.status_code, text=reply.text, version=None, whole_s=whole_s)
    text = told["choices"][0]["message"]["content"]
    return Answer(status=200, text=text, version=told["graftwork"]["version"], whole_s=whole_s)


async def streamed(client: httpx.AsyncClient, body: Mapping[str, Any]) -> Answer:
    """Ask for a stream and read all of it."""
    began, first_s = time.perf_counter(), 0.0
    text, version = "", None
    async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as reply:
        if reply.status_code != 200:
            told = (await reply.aread()).decode()
            return Answer(status=reply.status_code, text=told, version=None)
        async for chunk in chunks(reply):
            if "error" in chunk:
                return Answer(status=500, text=json.dumps(chunk), version=None)
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                if text and not first_s:
                    first_s = time.perf_counter() - began
            version = (chunk.get("graftwork") or {}).get("version", version)
    whole_s = time.perf_counter() - began
    return Answer(status=200, text=text, version=version, first_s=first_s or whole_s, whole_s=whole_s)


async def chunks(reply: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The pieces of a stream; it must end as OpenAI's do."""
    async for line in reply.aiter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise SystemExit("a stream ended without its end")
