"""`graftwork serve` as a process: what it says, what it refuses, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.base.load import load_base
from graftwork.cli.main import called

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from tests.support.solo_engine import SoloEngine
from graftwork.pipeline import service
service.MAKE_ENGINE = lambda bank, spec: SoloEngine(bank)
from graftwork.cli.start import main
main()
"""
HELLO = [{"role": "user", "content": "say hello"}]


def started(*words, **env):
    """A server's process, its output in pipes."""
    told = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **env}
    told.pop("GRAFTWORK_REGISTRY", None)
    command = [sys.executable, "-c", PROGRAM, "serve", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told, cwd=ROOT)


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


@pytest.fixture
def adapters(tmp_path, tiny_folder, lively, lora):
    """Folders of an adapter that acts, and of one that was never trained."""
    bank = AdapterBank(load_base(str(tiny_folder), dtype="float32"))
    write_adapter(tmp_path / "bot", bank[lively(bank)], bank.base, {})
    write_adapter(tmp_path / "Idle", bank[bank.fresh(lora(), seed=0)], bank.base, {})
    return tmp_path


def test_a_quick_look_at_adapters_from_folders(adapters, tiny_folder):
    with serving("--base", tiny_folder, "--adapter", adapters / "bot") as (process, said):
        assert said["names"] == ["tiny", "bot"]
        with client_of(said) as client:
            texts = {
                name: client.chat.completions.create(model=name, messages=HELLO, max_tokens=8, temperature=0)
                for name in said["names"]
            }
        assert texts["tiny"].choices[0].message.content != texts["bot"].choices[0].message.content
        with client_of(said, "gw_000000000000_" + "a" * 43) as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.fixture
def refused(capsys, monkeypatch):
    """`refused(words...)`: why a server does not begin."""
    monkeypatch.delenv("GRAFTWORK_REGISTRY", raising=False)

    def call(*words):
        assert called(["serve", *map(str, words)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return call


def test_an_adapter_that_does_nothing_is_not_served(adapters, tiny_folder, refused):
    said = refused("--base", tiny_folder, "--adapter", f"idle={adapters / 'Idle'}", "--port", 0)
    assert "changes no answer of its base" in said
    said = refused("--base", tiny_folder, "--adapter", adapters / "bot", "--adapter", adapters / "bot")
    assert "each name once" in said


def test_answers_under_way_end_whole_when_it_is_asked_to_end(tiny_folder):
    begun, out = threading.Barrier(4, timeout=60), {}

    def ask(said, number):
        with client_of(said) as client:
            stream = client.completions.create(
                model="tiny", prompt="ab", max_tokens=60, logit_bias={"65": 100}, stream=True, n=2
            )
            chunks = iter(stream)
            first = next(chunks)
            begun.wait()
            out[number] = [first, *chunks]

    with serving("--base", tiny_folder) as (process, said):
        askers = [threading.Thread(target=ask, args=(said, number)) for number in range(3)]
        for asker in askers:
            asker.start()
        begun.wait()
        process.send_signal(signal.SIGTERM)
        for asker in askers:
            asker.join(60)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    for chunks in out.values():
        assert [chunk.choices[0].finish_reason for chunk in chunks].count("length") == 2
        assert len("".join(chunk.choices[0].text for chunk in chunks)) == 120
    assert len(out) == 3


def test_the_second_signal_ends_it_at_once(tiny_folder, tmp_path):
    settings = tmp_path / "serve.yaml"
    settings.write_text("times: {drain_s: 600}\n")
    with serving("--base", tiny_folder, "--settings", settings) as (process, said), client_of(said) as client:
        stream = client.completions.create(
            model="tiny", prompt="ab", max_tokens=400, n=16, logit_bias={"65": 100}, stream=True
        )
        next(iter(stream))
        process.send_signal(signal.SIGTERM)
        while httpx.get(f"{said['address']}/health/ready", trust_env=False).status_code == 200:
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


def test_a_port_that_is_taken_is_refused_in_words(tiny_folder, refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "is taken" in refused("--base", tiny_folder, "--port", taken.getsockname()[1])


def test_settings_are_strict_and_words_go_over_them(tmp_path, refused):
    settings = tmp_path / "serve.yaml"
    settings.write_text("times: {drian_s: 3}\nadapter_memory: lots\nport: 70000\n")
    said = refused("--settings", settings)
    assert "times.drian_s = 3: expected no such key. Did you mean 'drain_s'?" in said
    assert "adapter_memory = 'lots'" in said
    assert "port = 70000" in said
    assert "70000" not in refused("--settings", settings, "--port", 0)
    assert "no --registry beside it" in refused("--adapter", "a", "--registry", "b")
    assert "is no registry" in refused("--registry", tmp_path / "nowhere", "--port", 0)


def test_a_registry_is_served_by_name_and_key(tmp_path, finished, tiny_folder, capsys, monkeypatch):
    monkeypatch.delenv("GRAFTWORK_KEY", raising=False)
    folder, _ = finished
    place = tmp_path / "registry"

    def registry(*words):
        capsys.readouterr()
        assert called(["registry", *map(str, words), "--registry", str(place), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    registry("init")
    version = registry("add", folder / "run", "--name", "bot")["version"]
    registry("promote", "bot", "bot:candidate")
    keys = {role: registry("access", "new", "kim", "--role", role)["key"] for role in ("viewer", "deployer")}
    guard = tmp_path / "guard.yaml"
    guard.write_text("models: {tiny: {answer: [{filter: personal_data, action: mask}]}}\n")
    settings = tmp_path / "serve.yaml"
    settings.write_text(f"guard: {guard}\nadapter_memory: 64 MiB\nthreads: 1\n")
    with serving("--registry", place, "--base", tiny_folder, "--settings", settings) as (process, said):
        assert (said["names"], said["key"]) == (["tiny", "bot"], None)
        with client_of(said, keys["viewer"]) as client:
            assert [one.id for one in client.models.list()] == ["tiny", "bot"]
            answer = client.chat.completions.create(model="bot", messages=HELLO, max_tokens=8, temperature=0)
            assert answer.graftwork["version"] == version
            with pytest.raises(openai.BadRequestError, match="Answers are filtered here"):
                client.chat.completions.create(model="tiny", messages=HELLO, logprobs=True)
            with pytest.raises(openai.PermissionDeniedError):
                client.post("../admin/v1/models/bot/pin", cast_to=object)
        with client_of(said, keys["deployer"]) as client:
            assert client.post("../admin/v1/models/bot/pin", cast_to=object)["done"] == "pinned"
            moved = client.post(
                "../admin/v1/names/bot/retire", cast_to=object, body={"expected": version, "reason": "test"}
            )
            assert moved["after"] is None
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="bot", messages=HELLO)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
