"""`graftwork serve` as a process: what it says, what it refuses, and how it ends."""

import json
import shutil
import signal
import socket
import threading

import httpx
import openai
import pytest
from tests.support.serving_process import client_of, serving, started

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter
from graftwork.adapters.logits import LogitFingerprint, fingerprint_bytes
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.spec import parse
from graftwork.registry.signing.keys import write_new_key

HELLO = [{"role": "user", "content": "say hello"}]


@pytest.fixture
def adapters(tmp_path, tiny_folder, lively, lora):
    """Folders of an adapter that acts, and of one that was never trained."""
    bank = AdapterBank(load_base(str(tiny_folder), dtype="float32"))
    write_adapter(tmp_path / "bot", bank[lively(bank)], bank.base, {})
    write_adapter(tmp_path / "Idle", bank[bank.fresh(lora(), seed=0)], bank.base, {})
    return tmp_path


def log_of(process):
    """The lines of a server's log, once it has ended."""
    return [json.loads(line) for line in process.stderr.read().splitlines()]


def test_a_quick_look_at_adapters_from_folders(adapters, tiny_folder, finished, tmp_path):
    trained = finished[0] / "run"
    settings = tmp_path / "serve.yaml"
    settings.write_text("receipts: {folder: receipts}\nrates: {key: {requests_per_minute: 4}}\n")
    words = ("--base", tiny_folder, "--adapter", adapters / "bot", "--adapter", f"trained={trained}")
    with serving(*words, "--settings", settings) as (process, said):
        assert said["names"] == ["tiny", "bot", "trained"]
        assert said["notes"] == ["bot is not proved to act as in training: its folder has no logits.json."]
        with client_of(said) as client:
            unproved = {one.id: one.unproved for one in client.models.list()}
            assert unproved == {"tiny": "", "bot": "its folder has no logits.json", "trained": ""}
            asked = {"messages": HELLO, "max_tokens": 8, "temperature": 0}
            told = {
                name: client.chat.completions.with_raw_response.create(model=name, **asked) for name in said["names"]
            }
            client.chat.completions.create(model="bot", **asked)
            with pytest.raises(openai.RateLimitError, match="Ask again in"):
                client.chat.completions.create(model="bot", **asked)
        texts = {name: one.parse().choices[0].message.content for name, one in told.items()}
        assert len(set(texts.values())) == 3
        with client_of(said, "gw_000000000000_" + "a" * 43) as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        lines = log_of(process)
    assert [line["event"] for line in lines if line["event"] not in ("request", "answer")] == [
        "loading the base",
        "serving",
        said["notes"][0],
        "going out of service: 0 requests under way have 30 s",
        "ended",
    ]
    assert [line["model"] for line in lines if line["event"] == "answer"] == ["tiny", "bot", "trained", "bot"]
    assert [line["status"] for line in lines if line["event"] == "request"] == [200, 200, 200, 200, 200, 429, 401]
    assert called(["receipts", str(tmp_path / "receipts"), "--key", said["receipts"]["public_key"]]) == 0
    digests = {told[name].headers["x-graftwork-receipt"] for name in said["names"]}
    written = "".join(path.read_text() for path in (tmp_path / "receipts").glob("*.jsonl"))
    assert all(digest in written for digest in digests)


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


def test_an_adapter_from_a_folder_that_acts_otherwise_than_in_training_is_not_served(
    adapters, tiny_folder, run_copy, refused
):
    shutil.copyfile(run_copy / "adapter" / "logits.json", adapters / "bot" / "logits.json")
    said = refused("--base", tiny_folder, "--adapter", adapters / "bot", "--port", 0)
    assert "logits.json is the fingerprint of another adapter" in said
    path = run_copy / "adapter" / "logits.json"
    told = json.loads(path.read_text())
    for one in told["asked"]:
        one["adapter"] = [logit + 8 for logit in one["adapter"]]
    path.write_bytes(fingerprint_bytes(parse(LogitFingerprint, told)))
    said = refused("--base", tiny_folder, "--adapter", f"trained={run_copy}", "--port", 0)
    assert "the adapter 'trained' is refused: it acts otherwise than when it was trained" in said


def test_a_setting_that_adapters_from_folders_do_not_use_is_refused(adapters, tiny_folder, refused, tmp_path):
    (tmp_path / "serve.yaml").write_text("models: {memory: 1 GiB}\n")
    words = ("--base", tiny_folder, "--adapter", adapters / "bot", "--settings", tmp_path / "serve.yaml")
    assert "models = 'given': expected nothing beside adapters from folders" in refused(*words)
    (tmp_path / "serve.yaml").write_text("guard: guard.yaml\nport: 0\n")
    (tmp_path / "guard.yaml").write_text("models: {bto: {}}\n")
    assert "policy for 'bto', which is not served now. Did you mean 'bot'?" in refused(*words)


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
    settings.write_text("times: {drian_s: 3}\nmodels: {memory: lots}\nport: 70000\n")
    said = refused("--settings", settings)
    assert "times.drian_s = 3: expected no such key. Did you mean 'drain_s'?" in said
    assert "models.memory = 'lots'" in said
    assert "port = 70000" in said
    assert "70000" not in refused("--settings", settings, "--port", 0)
    assert "no --registry beside it" in refused("--adapter", "a", "--registry", "b")
    assert "is no registry" in refused("--registry", tmp_path / "nowhere", "--port", 0)


@pytest.fixture
def kept(tmp_path, finished, capsys, monkeypatch):
    """A registry whose name bot means a trained version: (folder, version, keys by role)."""
    monkeypatch.delenv("GRAFTWORK_KEY", raising=False)
    place = tmp_path / "registry"

    def registry(*words):
        capsys.readouterr()
        assert called(["registry", *map(str, words), "--registry", str(place), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    registry("init")
    version = registry("add", finished[0] / "run", "--name", "bot")["version"]
    registry("promote", "bot", "bot:candidate")
    roles = ("viewer", "deployer", "admin")
    return place, version, {role: registry("access", "new", "kim", "--role", role)["key"] for role in roles}


def test_a_registry_is_served_by_name_and_key(tmp_path, kept, tiny_folder):
    place, version, keys = kept
    guard = tmp_path / "guard.yaml"
    guard.write_text("models: {tiny: {answer: [{filter: personal_data, action: mask}]}}\n")
    settings = tmp_path / "serve.yaml"
    settings.write_text("guard: guard.yaml\nmodels: {memory: 64 MiB}\nengine: {threads: 1, kv_memory: 64 MiB}\n")
    with serving("--registry", place, "--base", tiny_folder, "--settings", settings) as (process, said):
        assert (said["names"], said["key"], said["notes"]) == (["tiny", "bot"], None, [])
        book = said["receipts"]
        assert (book["folder"], book["is_new_key"]) == (str(tmp_path / "registry-receipts"), True)
        with client_of(said, keys["viewer"]) as client:
            assert [one.id for one in client.models.list()] == ["tiny", "bot"]
            answer = client.chat.completions.create(model="bot", messages=HELLO, max_tokens=8, temperature=0)
            assert answer.graftwork["version"] == version
            receipt = f"{answer.graftwork['request']}-0"
            envelope = client.get(f"/receipts/{receipt}", cast_to=httpx.Response).json()
            assert envelope["signatures"][0]["keyid"] == book["key_id"]
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
        with client_of(said, keys["admin"]) as client:
            counts = client.get("../metrics", cast_to=httpx.Response).text
        for line in (
            'graftwork_adapter_events_total{event="loaded"} 1.0',
            'graftwork_receipts_total{outcome="written"} 1.0',
            f'graftwork_answers_total{{finish="{answer.choices[0].finish_reason}",model="bot"}} 1.0',
            "graftwork_log_lines_lost_total 0.0",
        ):
            assert line in counts
        assert 'graftwork_adapter_bytes{tier="disk"} 0.0' not in counts
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        lines = log_of(process)
    (loaded,) = [line for line in lines if line["event"] == "version loaded"]
    assert (loaded["version"], loaded["level"]) == (version, "info")


def test_receipts_go_on_under_the_same_key_and_what_a_kill_left_is_said(tmp_path, kept, tiny_folder):
    book = tmp_path / "registry-receipts"
    book.mkdir()
    (book / "2026-03-01.jsonl").write_bytes(b'{"cut short by a kill')
    public = write_new_key(book / "server.key")
    with serving("--registry", kept[0], "--base", tiny_folder) as (_, said):
        assert said["receipts"]["key_id"] == public.key_id
        assert said["receipts"]["is_new_key"] is False
        assert "were no whole line, as a kill leaves them" in said["receipts"]["repaired"]
        again = started("--registry", kept[0], "--base", tiny_folder, "--port", 0)
        assert "another server writes receipts there" in again.communicate(timeout=60)[1]
