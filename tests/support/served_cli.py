"""`graftwork serve` as a user starts it, on a registry: a process, its address, and clients for it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
WAIT_S = 120


def started(registry, base, folder, **settings):
    """A server's process that may not take requests yet; what it needs lies in `folder`."""
    folder.mkdir(exist_ok=True)
    file = folder / "serve.yaml"
    file.write_text(json.dumps({"dtype": "float32", "engine": {"threads": 1, "kv_memory": "8 MiB"}, **settings}))
    command = [sys.executable, "-m", "graftwork.cli", "serve", "--registry", registry, "--base", base, "--port", "0"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "serve.log").open("a") as log:
        return subprocess.Popen(
            [*map(str, command), "--settings", str(file), "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=env,
        )


def address_of(process, folder):
    """Where it answers, once it does."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            told = json.loads("".join(lines))
            assert "address" in told, told
            return told["address"]
    raise AssertionError((folder / "serve.log").read_text()[-3000:])


@contextmanager
def serving(registry, base, folder, key, **settings):
    """A client of a server that takes requests; afterwards the server must end in good order."""
    process = started(registry, base, folder, **settings)
    try:
        with client_of(address_of(process, folder), key) as client:
            yield client
        process.terminate()
        assert process.wait(WAIT_S) == 0, (folder / "serve.log").read_text()[-3000:]
    finally:
        process.kill()
        process.communicate()


def client_of(address, key):
    """A plain client with a key."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.Client(base_url=address, headers=headers, timeout=WAIT_S, trust_env=False)


def chat(client, model, **asked):
    """The reply to a greedy question."""
    messages = [{"role": "user", "content": "say ab 1"}]
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 6, **asked}
    return client.post("/v1/chat/completions", json=body)
