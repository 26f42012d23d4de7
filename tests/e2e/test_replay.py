"""`graftwork replay` and `graftwork receipts`: a version of a registry on disk answers again as its receipt says."""

import json
from hashlib import sha256
from threading import Event

import pytest
from tests.support.receipts import START_US, a_key
from tests.support.solo_engine import SoloEngine
from tests.support.versions_of import put_folder, write_lively

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.pipeline import service
from graftwork.pipeline.replaying import base_note, engine_note, served_of
from graftwork.registry.access.roles import principal
from graftwork.registry.place import opened
from graftwork.registry.signing.keys import public_pem
from graftwork.serving.asked import Ask, Sampling
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
    monkeypatch.setattr(service, "MAKE_ENGINE", lambda bank, spec: SoloEngine(bank))
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
    engine = SoloEngine(bank)
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
