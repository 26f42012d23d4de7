"""`graftwork serve` as a process of its own, and the official client for it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import openai

ROOT = Path(__file__).parents[2]


def started(*words, **env):
    """A server's process, its output in pipes."""
    told = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), **env}
    for name in ("GRAFTWORK_REGISTRY", "GRAFTWORK_KEY"):
        told.pop(name, None)
    command = [sys.executable, "-m", "graftwork.cli", "serve", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told)


@contextmanager
def serving(*words, **env):
    """A server that takes requests: its process and what it said."""
    process = started(*words, "--port", 0, "--json", **env)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        assert lines, process.stderr.read()
        yield process, json.loads("".join(lines))
    finally:
        process.kill()
        process.communicate()


def client_of(said, key=None):
    """The official client for a server."""
    return openai.OpenAI(base_url=f"{said['address']}/v1", api_key=key or said["key"], max_retries=0)
