"""Adapters that are not what they should be, seen by a user: the command line refuses them, and a server that is moved
to one goes on with what it has, and says why."""

import json
import shutil
from contextlib import closing

import pytest
from tests.support.registries import ROOT
from tests.support.served_cli import chat, serving
from tests.support.tiny_base import make_base
from tests.support.versions_of import point, put_folder, write_lively

from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.digests import digest_of_file
from graftwork.registry import naming
from graftwork.registry.place import opened

WEIGHTS = "adapter_model.safetensors"


def renamed(path):
    """The same tensors under names that no module has."""
    path.write_bytes(path.read_bytes().replace(b"base_model.model.model.layers", b"base_model.model.modal.layers"))


def flipped(path):
    """One bit is another one."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])


SPOILT = {"renamed": renamed, "flipped": flipped}


@pytest.fixture
def told(capsys, monkeypatch):
    """`told(words...)`: what a command says as JSON, and its exit code."""
    monkeypatch.delenv("GRAFTWORK_KEY", raising=False)

    def call(*words, code=0):
        capsys.readouterr()
        assert called(["registry", *map(str, words), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def place(tmp_path, told, monkeypatch):
    """A registry in which `bot` means the finished run."""
    monkeypatch.setenv("GRAFTWORK_REGISTRY", str(tmp_path / "registry"))
    told("init")
    return tmp_path / "registry"


@pytest.mark.parametrize("kind", SPOILT)
def test_a_run_that_was_changed_is_not_put_in(place, told, run_copy, kind):
    SPOILT[kind](run_copy / "adapter" / WEIGHTS)
    said = told("add", run_copy, "--name", "bot", code=2)["error"]["message"]
    assert f"adapter/{WEIGHTS} is not as step train left it." in said
    assert told("list")["versions"] == []


@pytest.mark.parametrize("kind", SPOILT)
def test_bytes_that_were_changed_in_the_store_are_refused(place, told, run_copy, kind):
    version = told("add", run_copy, "--name", "bot")["version"]
    digest = digest_of_file(run_copy / "adapter" / WEIGHTS)
    blob = place / "blobs" / digest[:2] / digest
    blob.chmod(0o644)
    SPOILT[kind](blob)
    said = told("prove", "bot:candidate", code=2)["error"]["message"]
    assert f"blob {digest} is not what it was" in said
    said = told("verify", code=2)
    assert [f"adapter/{WEIGHTS} of version {version[:12]}" in problem for problem in said["problems"]] == [True]


@pytest.fixture
def bad(tmp_path, finished, tiny_folder):
    """`bad(registry)`: versions by what is wrong with them, and words that say so.

    Their manifests are true to their files, as if somebody had trained them so.
    """
    folder = finished[0] / "run" / "adapter"

    def put(registry):
        found = {}
        for kind, spoil in SPOILT.items():
            copy = shutil.copytree(folder, tmp_path / kind)
            spoil(copy / WEIGHTS)
            found[kind] = put_folder(registry, copy)
        other = load_base(str(make_base(tmp_path / "other", seed=5)), dtype="float32")
        found["other base"] = put_folder(registry, write_lively(tmp_path / "elsewhere", other))
        idle = write_lively(tmp_path / "idle", load_base(str(tiny_folder), dtype="float32"), strength=0)
        found["idle"] = put_folder(registry, idle)
        return found

    return put


WORDS = {
    "renamed": "does not fit this base",
    "flipped": "its card says",
    "other base": "it belongs to another base",
    "idle": "cannot be told from nothing",
    "lost": "is not what it was",
}


def test_what_is_refused_changes_no_answer_and_is_said_everywhere(place, told, finished, bad, tiny_folder, tmp_path):
    good = told("add", finished[0] / "run", "--name", "bot")["version"]
    told("promote", "bot", "bot:candidate")
    key = told("access", "new", "kim", "--role", "admin")["key"]
    with closing((registry := opened(place)).database):
        versions = bad(registry)
        lost = shutil.copytree(finished[0] / "run" / "adapter", tmp_path / "lost")
        (lost / "notes.txt").write_text("one more file")
        versions["lost"] = put_folder(registry, lost)
        digest = digest_of_file(lost / "notes.txt")
        for kind, version in versions.items():
            naming.nominate(registry, ROOT, "bot", version, expected=None)
            naming.promote(registry, ROOT, "bot", version, "canary", expected=None)
            naming.retire(registry, ROOT, "bot", expected=version, stage="canary")
            point(registry, f"only-{kind.replace(' ', '-')}", version)
    blob = place / "blobs" / digest[:2] / digest
    blob.chmod(0o644)
    flipped(blob)
    for kind in versions:
        said = told("prove", f"only-{kind.replace(' ', '-')}", "--base", tiny_folder, "--dtype", "float32", code=2)
        assert WORDS[kind] in (said.get("reason") or said["error"]["message"]), said
    with serving(place, tiny_folder, tmp_path / "server", key) as client:
        before = chat(client, "bot").json()
        assert before["graftwork"]["version"] == good
        for kind, version in versions.items():
            moved = client.post("/admin/v1/names/bot/promote", json={"version": version, "expected": good})
            assert moved.status_code == 200, moved.text
            _is_refused_and_said(client, "bot", WORDS[kind], version)
            after = chat(client, "bot").json()
            assert after["graftwork"]["version"] == good
            assert after["choices"] == before["choices"]
            assert _told(client, "bot")["answered_by"] == good
            back = client.post("/admin/v1/names/bot/rollback", json={"expected": version})
            assert back.json()["after"] == good
            assert chat(client, "bot").json()["choices"] == before["choices"]
            assert _told(client, "bot")["refused"] == ""
            alone = f"only-{kind.replace(' ', '-')}"
            _is_refused_and_said(client, alone, WORDS[kind], version)
            answer = chat(client, alone)
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, "refused_as_not_whole")
            assert WORDS[kind] in answer.json()["error"]["message"]
            assert _told(client, alone)["answered_by"] is None


def _is_refused_and_said(client, name, words, version):
    """By the admin API, its status and the list of models."""
    loaded = client.post(f"/admin/v1/models/{name}/load")
    assert (loaded.status_code, loaded.json()["error"]["code"]) == (500, "refused_as_not_whole"), loaded.text
    assert words in loaded.json()["error"]["message"]
    assert version[:12] in loaded.json()["error"]["message"]
    told = _told(client, name)
    assert (told["version"], told["is_in_memory"]) == (version, False)
    assert words in told["refused"]
    listed = next(one for one in client.get("/v1/models").json()["data"] if one["id"] == name)
    assert words in listed["refused"]
    assert str(version) == listed["version"]


def _told(client, name):
    models = client.get("/admin/v1/status").json()["models"]
    return next(one for one in models if one["name"] == name)
