"""From a trained run to an adapter in memory that is proved: by the command line, and on a registry in SQLite."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from tests.support.registries import ROOT
from tests.support.solo_engine import SoloEngine
from tests.support.tiny_base import make_base
from tests.support.versions_of import put_folder

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.logits import read_fingerprint
from graftwork.base.load import load_base
from graftwork.cli.main import called
from graftwork.core.digests import digest_of_file
from graftwork.core.errors import IntegrityError
from graftwork.core.spec import parse
from graftwork.registry.place import opened
from graftwork.serving.models.models import RegistryModels
from graftwork.serving.models.spec import ModelsSpec
from graftwork.serving.models.store import BankStore

LIMIT_S = 120


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own with an empty registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("GRAFTWORK_REGISTRY", "GRAFTWORK_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert called(["registry", "init"]) == 0
    return tmp_path


@pytest.fixture
def told(capsys):
    """`told(words...)`: what a command says as JSON, and its exit code."""

    def call(*words, code=0):
        capsys.readouterr()
        assert called(["registry", *map(str, words), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def put(here):
    """`put(folder)`: an adapter's folder as a version, whatever it is; its digest."""

    def into(folder, **asked):
        registry = opened(here / "registry")
        try:
            return put_folder(registry, folder, **asked)
        finally:
            registry.database.close()

    return into


def test_training_leaves_a_fingerprint_that_the_run_and_the_registry_know(here, told, run_copy):
    file = run_copy / "adapter" / "logits.json"
    recorded = read_fingerprint(file.read_bytes())
    step = json.loads((run_copy / "run.json").read_text())["steps"]["train"]
    assert step["outputs"]["adapter/logits.json"] == digest_of_file(file)
    assert (recorded.adapter, recorded.dtype) == (step["summary"]["adapter_digest"], "float32")
    assert recorded.effect > 0.5
    version = told("add", run_copy, "--name", "bot")["version"]
    assert told("show", version)["manifest"]["logits"] == digest_of_file(file)
    (here / "registry" / "policy.yaml").write_text("production: {logits: true}\n")
    assert told("promote", "bot", "bot:candidate")["after"] == version


def test_a_right_one_is_proved_in_any_number_format(here, told, run_copy, capsys):
    told("add", run_copy, "--name", "bot")
    for dtype in ("float32", "bfloat16"):
        said = told("prove", "bot:candidate", "--dtype", dtype)
        assert (said["outcome"], said["dtype"], said["recorded_dtype"]) == ("proved", dtype, "float32")
        assert said["distance"] <= said["tolerance"] < said["effect"]
    assert called(["registry", "prove", "bot:candidate"]) == 0
    printed = capsys.readouterr().out
    assert "64 logits after 4 prompts:" in printed
    assert "Proved: its logits are those on record" in printed
    said = told("prove", "bot:candidate", "--dtype", "float23", code=2)["error"]["message"]
    assert "--dtype = 'float23'" in said


def test_a_renamed_module_is_refused(told, put, run_copy):
    path = run_copy / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"base_model.model.model.layers", b"base_model.model.modal.layers"))
    said = told("prove", put(run_copy / "adapter"), code=2)["error"]["message"]
    assert "does not fit this base" in said
    assert "Nothing was loaded" in said


def test_a_flipped_byte_is_refused_wherever_it_is(here, told, put, run_copy):
    version = told("add", run_copy)["version"]
    path = run_copy / "adapter" / "adapter_model.safetensors"
    blob = next((here / "registry" / "blobs").glob(f"*/{digest_of_file(path)}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    said = told("prove", put(run_copy / "adapter"), code=2)["error"]["message"]
    assert "its digest is" in said
    assert "its card says" in said
    blob.chmod(0o644)
    shutil.copyfile(path, blob)
    said = told("prove", version, code=2)["error"]["message"]
    assert f"blob {blob.name} is not what it was" in said


def test_another_base_is_refused_before_it_is_loaded(here, told, run_copy, tmp_path, monkeypatch):
    told("add", run_copy, "--name", "bot")
    other = make_base(tmp_path / "other", seed=5)
    monkeypatch.setattr("graftwork.base.load.load_base", None)
    said = told("prove", "bot:candidate", "--base", other, code=2)["error"]["message"]
    assert f"'{other}' here; they differ in weights. Serve it on the base that it was trained on." in said


def test_an_adapter_that_does_nothing_is_refused(told, put, tiny_folder, tmp_path):
    from tests.support.versions_of import write_lively

    folder = write_lively(tmp_path / "idle", load_base(str(tiny_folder), dtype="float32"), strength=0)
    said = told("prove", put(folder), code=2)
    assert (said["is_proved"], said["outcome"], said["recorded_effect"]) == (False, "untrained", 0)


def test_names_move_in_another_process_s_registry_and_requests_keep_theirs(
    here, told, put, run_copy, tiny_folder, tmp_path
):
    """The registry in SQLite, watched while it is written to by others."""
    (here / "registry" / "policy.yaml").write_text("production: {}\n")
    first = told("add", run_copy, "--name", "bot")["version"]
    told("promote", "bot", "bot:candidate")
    bad = shutil.copytree(run_copy / "adapter", tmp_path / "bad")
    (bad / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    second, third = put(run_copy / "adapter"), put(bad)
    bank = AdapterBank(load_base(str(tiny_folder), dtype="float32"))
    engine, events = SoloEngine(bank), []

    async def seen(kind):
        while kind not in [event.kind for event in events]:
            await asyncio.sleep(0.001)  # what is waited for is told by another thread's doing

    async def scenario(registry):
        spec = parse(ModelsSpec, {"poll_s": 0.01})
        cache = Path("cache")
        async with RegistryModels(
            registry, engine, BankStore(bank), cache=cache, spec=spec, told=events.append
        ) as models:
            old = await models.acquire(ROOT, "bot")
            await asyncio.to_thread(told, "promote", "bot", second)
            await seen("moved")
            new = await models.acquire(ROOT, "bot")
            assert (old.version, new.version) == (first, second)
            await asyncio.to_thread(told, "promote", "bot", third)
            await seen("kept")
            again = await models.acquire(ROOT, "bot")
            assert again.version == second
            with pytest.raises(IntegrityError, match="no whole safetensors file"):
                await models.load(ROOT, "bot")
            for served in (old, new, again):
                models.release(served)
            assert {one.name: one.answered_by for one in await models.listed(ROOT)} == {"base": None, "bot": second}

    registry = opened(here / "registry")
    try:
        asyncio.run(asyncio.wait_for(scenario(registry), LIMIT_S))
    finally:
        engine.close()
        registry.database.close()
