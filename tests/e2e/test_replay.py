"""`graftwork replay` and `graftwork receipts`: a version of a registry on disk answers again as its receipt says."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Event

import httpx
import pytest
from tests.support.receipts import START_US, a_key
from tests.support.serving_process import serving
from tests.support.versions_of import named, put_folder, write_lively

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.pipeline.replaying import base_note, engine_note, served_of
from graftwork.registry.access.roles import principal
from graftwork.registry.place import opened
from graftwork.registry.signing.keys import public_pem
from graftwork.serving.asked import Ask, Sampling
from graftwork.serving.engine.engine import BatchEngine, EngineLimits
from graftwork.serving.operations.journal import Journal
from graftwork.serving.operations.receipts import Answered, Notary

WHO = principal("root", ["admin", "trainer"])
BODY = json.dumps({"model": "bot", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}).encode()


@pytest.fixture
def here(llama_folder, tmp_path, monkeypatch):
    """A registry with a version that stands on another, and receipts of one answer of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("GRAFTWORK_REGISTRY", "GRAFTWORK_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert called(["registry", "init"]) == 0
    base = load_base(str(llama_folder), dtype="float32")
    lower = write_lively(tmp_path / "lower", base, 1, strength=0.6)
    upper = write_lively(tmp_path / "upper", base, 2, strength=0.6, below=(lower,))
    registry = opened(tmp_path / "registry")
    versions = [put_folder(registry, folder, WHO) for folder in (lower, upper)]
    journal = Journal(tmp_path / "receipts")
    for place, version in enumerate(versions):
        one = answered_by(AdapterBank(base), registry, version)
        journal.append(one)
        (tmp_path / f"receipt-{place}.json").write_text(one.envelope)
    journal.close()
    registry.database.close()
    (tmp_path / "server.pub").write_bytes(public_pem(a_key().public))
    (tmp_path / "body.json").write_bytes(BODY)
    return tmp_path


def answered_by(bank, registry, version):
    """The receipt of an answer that a version really gave."""
    engine = BatchEngine(bank, EngineLimits(cache_bytes=4 << 20, threads=1))
    ask = Ask(
        id="req_1-0",
        tenant=WHO.tenant,
        served=served_of(bank, registry, WHO, "bot", version),
        prompt_T=tuple(bank.base.chat.prompt([{"role": "user", "content": "Hello"}])),
        sampling=Sampling(max_new_tokens=20, seed=11),
        stop_ids=bank.base.chat.stop_ids,
    )
    updates, over = [], Event()
    engine.submit(ask, lambda update: (updates.append(update), update.finish and over.set()))
    assert over.wait(60)
    engine.close()
    said_T = [said.token for update in updates for said in update.said]
    notary = Notary(base_note(bank), engine_note(bank, engine), a_key())
    told = {"tokens_T": said_T, "text": "", "finish": updates[-1].finish, "body": sha256(BODY).hexdigest()}
    return notary.receipt(Answered(ask=ask, time_us=START_US, **told))


def replay(place, *words):
    """The exit code of a replay with the server's key."""
    key = ("--key", "server.pub") if "--key" not in words else ()
    return called(["replay", f"receipt-{place}.json", "--request", "body.json", *key, *words])


def test_a_version_and_one_that_stands_on_it_answer_again_as_their_receipts_say(here, capsys):
    for place in (0, 1):
        assert replay(place, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["tokens"], told["differences"]) == ("equal", [])
    assert replay(0) == 0
    assert capsys.readouterr().out.startswith("The same ")


def test_what_is_other_is_said_and_exits_1(here, llama_folder, folder_of, capsys):
    other = folder_of("llama", seed=4)
    assert replay(0, "--base", str(other)) == 1
    assert "base: weights" in capsys.readouterr().out


def test_another_body_key_or_receipt_is_refused(here, capsys):
    (here / "body.json").write_bytes(BODY + b"\n")
    assert replay(0) == 2
    assert "byte for byte" in capsys.readouterr().err
    (here / "body.json").write_bytes(BODY)
    assert called(["registry", "keys", "new", "mine"]) == 0
    assert replay(0, "--key", "mine.pub") == 2
    assert "no trusted key signed the receipt" in capsys.readouterr().err
    assert called(["replay", "receipt-0.json", "--request", "body.json"]) == 2
    assert "The registry trusts no key" in capsys.readouterr().err
    (here / "receipt-0.json").write_text("{}")
    assert replay(0) == 2
    assert replay(7) == 2
    assert "receipt-7.json is not there" in capsys.readouterr().err


def test_a_folder_of_receipts_is_checked(here, capsys):
    assert called(["receipts", "receipts", "--key", "server.pub", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipts"] == 2
    (path,) = (here / "receipts").glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    assert called(["receipts", "receipts", "--key", "server.pub"]) == 2
    assert f"{path.name} line 1: " in capsys.readouterr().err


def traffic(base):
    """Paths and bodies of requests of all kinds, some with the same long beginning."""
    long = "A long beginning that several requests share, so that pages of it are found again. " * 3
    for number in range(10):
        messages = [{"role": "user", "content": f"{long if number % 2 else ''}Question {number}"}]
        model = ("low", "high", base)[number % 3]
        chance = {"temperature": 0} if number % 4 == 0 else {"seed": number, "temperature": 1.3, "top_p": 0.9}
        told = {"model": model, "max_tokens": 24 + 9 * number, **chance}
        chat = {**told, "messages": messages, "stream": number % 3 == 1}
        text = {**told, "prompt": [f"{long}{number}", "short"], "n": 2, "frequency_penalty": 0.5}
        yield "chat/completions", json.dumps(chat).encode()
        yield "completions", json.dumps(text).encode()


@pytest.fixture
def busy(llama_folder, tmp_path, monkeypatch, capsys):
    """A registry with the names low and high, the second standing on the first, and a key of it."""
    monkeypatch.chdir(tmp_path)
    for name in ("GRAFTWORK_REGISTRY", "GRAFTWORK_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert called(["registry", "init"]) == 0
    (tmp_path / "registry" / "policy.yaml").write_text("production: {}\n")
    (tmp_path / "serve.yaml").write_text("engine: {max_running: 9, kv_memory: 4 MiB, read_tokens: 128}\n")
    base = load_base(str(llama_folder), dtype="float32")
    lower = write_lively(tmp_path / "lower", base, 1, strength=0.6)
    upper = write_lively(tmp_path / "upper", base, 2, strength=0.6, below=(lower,))
    registry = opened(tmp_path / "registry")
    for name, folder in (("low", lower), ("high", upper)):
        named(registry, name, folder, WHO)
    registry.database.close()
    capsys.readouterr()
    assert called(["registry", "access", "new", "root", "--role", "admin", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["key"]


def test_twenty_receipts_of_a_busy_server_are_answered_again_with_the_same_tokens(busy, llama_folder, tmp_path, capsys):
    words = ("--registry", "registry", "--base", llama_folder, "--settings", "serve.yaml")
    headers = {"authorization": f"Bearer {busy}", "content-type": "application/json"}
    with (
        serving(*words) as (_, said),
        httpx.Client(base_url=said["address"], headers=headers, timeout=120, trust_env=False) as client,
    ):
        asked = list(traffic(said["names"][0]))
        with ThreadPoolExecutor(len(asked)) as pool:
            replies = list(pool.map(lambda one: client.post(f"/v1/{one[0]}", content=one[1]), asked))
        for place, (reply, (path, body)) in enumerate(zip(replies, asked, strict=True)):
            assert reply.status_code == 200, reply.text
            choice = 0 if path == "chat/completions" else place % 4
            receipt = client.get(f"/v1/receipts/{reply.headers['x-request-id']}-{choice}")
            (tmp_path / f"receipt-{place}.json").write_text(receipt.text)
            (tmp_path / f"body-{place}.json").write_bytes(body)
    found = []
    key = said["receipts"]["public_key"]
    for place in range(len(asked)):
        words = ("--request", f"body-{place}.json", "--key", key, "--base", str(llama_folder), "--json")
        called(["replay", f"receipt-{place}.json", *words])
        found.append(json.loads(capsys.readouterr().out))
    assert [(one["tokens"], one["differences"]) for one in found] == [("equal", [])] * 20
    assert sum(one["count"] for one in found) > 200
