"""The registry from the command line: a run goes in, gets a name, is rolled back, checked, carried elsewhere."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from graftwork.cli.main import called

DIMENSIONS = "evaluation: {answers: 6, max_new_tokens: 6, batch_size: 4, dimensions: [accuracy]}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own with an empty registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
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


def test_a_run_goes_in_is_named_and_checked(here, told, run_copy, capsys):
    card = json.loads((run_copy / "adapter" / "graftwork.json").read_text())
    version = told("add", run_copy, "--name", "bot")["version"]
    shown = told("show", version[:8])
    assert shown["manifest"]["content"] == card["digest"]
    assert shown["manifest"]["data"]["train"] == card["provenance"]["data"]["train"]
    assert {file["path"] for file in shown["manifest"]["files"]} >= {"adapter/adapter_model.safetensors", "recipe.yaml"}
    assert shown["names"] == {"bot": ["candidate"]}
    assert told("promote", "bot", "bot:candidate", "--reason", "first")["after"] == version
    assert told("add", run_copy)["version"] == version
    today = datetime.now(UTC).date()
    assert told("at", today, "bot")["version"] == version
    assert told("at", today - timedelta(days=1), "bot")["version"] is None
    assert told("verify")["is_whole"] is True
    assert told("retire", "bot")["after"] is None
    assert told("rollback", "bot")["after"] == version
    assert [move["after"] for move in told("history", "bot")["moves"]][-3:] == [version, None, version]
    for words in (["list"], ["show", "bot"], ["history", "bot"], ["at", str(today), "bot"], ["verify"], ["gc"]):
        assert called(["registry", *words]) == 0
        assert version[:12] in capsys.readouterr().out or words in (["verify"], ["gc"])


@pytest.mark.parametrize("file", ["adapter/adapter_model.safetensors", "evaluation.json", "data/train.jsonl"])
def test_a_run_that_is_not_as_it_recorded_is_refused(here, told, run_copy, file):
    whole = (run_copy / file).read_bytes()
    (run_copy / file).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    (run_copy / "data" / "quarantine.jsonl").unlink()
    said = told("add", run_copy, code=2)["error"]["message"]
    assert f"{file} is not as step" in said
    assert "data/quarantine.jsonl is gone" in said
    assert told("list")["versions"] == []


def test_a_recipe_that_was_changed_afterwards_is_refused(here, told, run_copy):
    recipe = run_copy / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 3", "seed: 4"))
    assert "not the recipe that it was trained by" in told("add", run_copy, code=2)["error"]["message"]


def test_an_evaluation_of_something_else_is_left_out(here, told, run_copy):
    from graftwork.pipeline.folder import RunFolder

    with RunFolder(run_copy) as folder:
        folder.record("evaluate", {"adapter": "another"}, ["evaluation.json"], {}, 0.0)
    added = told("add", run_copy)
    assert "of another adapter" in added["notes"][0]
    assert told("show", added["version"])["manifest"]["evaluation"] is None


def test_the_certificate_decides_a_promotion(here, told, recipe):
    recipe.write_text("\n".join(line for line in recipe.read_text().splitlines() if "evaluation: {answers" not in line))
    recipe.write_text(recipe.read_text() + "\n" + DIMENSIONS + "\n")
    assert called(["run", str(recipe), "--out", "run", "--json"]) == 0
    added = told("add", "run", "--name", "bot")
    said = told("show", added["version"])["manifest"]["evaluation"]
    assert said["certificate"] == json.loads((here / "run" / "certificate.json").read_text())["digest"]
    verdict = next(v["verdict"] for v in said["verdicts"] if (v["dimension"], v["reference"]) == ("accuracy", "base"))
    (here / "registry" / "policy.yaml").write_text(
        "production: {certificate: [{dimension: accuracy, at_least: better}]}"
    )
    refused = told("promote", "bot", "bot:candidate", code=0 if verdict == "better" else 2)
    assert verdict == "better" or f"certificate.accuracy beside base = '{verdict}'" in refused["error"]["message"]


def test_two_approvers_with_keys_of_their_own(here, told, run_copy, monkeypatch):
    (here / "registry" / "policy.yaml").write_text("keys: required\nproduction: {approvers: 2}\n")
    assert "asks for an API key" in told("list", code=2)["error"]["message"]
    (here / "registry" / "policy.yaml").write_text("production: {approvers: 2}\n")
    people = {"tom": "trainer", "ann": "approver", "ben": "approver", "dora": "deployer"}
    keys = {who: told("access", "new", who, "--role", role)["key"] for who, role in people.items()}

    def by(who, *words, code=0):
        monkeypatch.setenv("GRAFTWORK_KEY", keys[who])
        return told(*words, code=code)

    version = by("tom", "add", run_copy, "--name", "bot")["version"]
    assert "tom may not promote" in by("tom", "promote", "bot", version, code=2)["error"]["message"]
    by("ann", "approve", "bot", version)
    assert "approvers = 'ann'" in by("dora", "promote", "bot", version, code=2)["error"]["message"]
    by("ben", "approve", "bot", version)
    by("dora", "promote", "bot", version)
    monkeypatch.delenv("GRAFTWORK_KEY")
    told("access", "revoke", keys["dora"].split("_")[1])
    assert "does not open" in by("dora", "list", code=2)["error"]["message"]
    monkeypatch.delenv("GRAFTWORK_KEY")
    assert [key["owner"] for key in told("access", "list")["keys"] if key["revoked_us"]] == ["dora"]


def test_signed_carried_backed_up_and_found_when_spoilt(here, told, run_copy, monkeypatch):
    told("keys", "new", "key")
    told("keys", "trust", "key.pub")
    version = told("add", run_copy, "--name", "bot", "--key", "key")["version"]
    told("checkpoint", "--key", "key", "--out", "head.json")
    assert told("verify", "--checkpoint", "head.json")["signed_by_trusted_keys"] == 1
    told("export", version, "bot.tar")
    told("backup", "all.tar")
    monkeypatch.setenv("GRAFTWORK_REGISTRY", "other")
    told("init")
    assert "no key that is trusted here" in told("import", "bot.tar", code=2)["error"]["message"]
    told("keys", "trust", "key.pub")
    assert told("import", "bot.tar")["version"] == version
    assert "not empty" in told("restore", "all.tar", code=2)["error"]["message"]
    monkeypatch.setenv("GRAFTWORK_REGISTRY", "third")
    told("init")
    assert told("restore", "all.tar")["blobs"] == len(told("show", version)["manifest"]["files"])
    weights = next(f for f in told("show", version)["manifest"]["files"] if f["path"].endswith(".safetensors"))
    blob = here / "third" / "blobs" / weights["digest"][:2] / weights["digest"]
    blob.chmod(0o644)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    found = told("verify", code=2)
    assert len(found["problems"]) == 1
    assert "adapter/adapter_model.safetensors of version" in found["problems"][0]


def test_wrong_words_are_told_and_never_a_traceback(here, told, run_copy):
    version = told("add", run_copy, "--name", "bot")["version"]
    for words in (
        ["add", "nowhere"],
        ["add", run_copy, "--name", "Bot"],
        ["show", "nothing"],
        ["show", "bot"],
        ["show", "bot:nowhere"],
        ["history", "cat"],
        ["at", "yesterday", "bot"],
        ["at", "2026-03-03T10:00", "bot"],
        ["promote", "bot", version, "--to", "retired"],
        ["promote", "bot", version, "--expected", version],
        ["rollback", "cat"],
        ["retire", "bot"],
        ["keys", "trust", "nowhere"],
        ["checkpoint", "--key", "nowhere"],
        ["verify", "--checkpoint", "nowhere"],
        ["import", "nowhere"],
        ["restore", "nowhere"],
        ["access", "new", "kim", "--role", "king"],
        ["access", "revoke", "x"],
        ["pin", version, "--holder", "x", "--until", "2001-01-01"],
        ["unpin", version, "--holder", "x"],
        ["list", "--registry", "nowhere"],
        ["init", "--database", "mysql://x"],
    ):
        assert told(*words, code=2)["error"]["message"], words


def test_files_of_versions_that_nobody_needs_are_given_up_when_asked(here, told, run_copy):
    version = told("add", run_copy)["version"]
    told("pin", version, "--holder", "run", "--until", "2999-01-01")
    assert told("gc", "--keep-days", "0")["versions"] == []
    told("unpin", version, "--holder", "run")
    assert told("gc", "--keep-days", "0")["versions"] == [version]
    assert told("gc", "--keep-days", "0", "--yes")["versions"] == [version]
    assert told("show", version)["files_given_up"] is True
    assert told("verify")["is_whole"] is True
    shutil.rmtree(run_copy)


def test_a_version_is_made_again_from_its_record(here, told, finished, run_copy):
    version = told("add", run_copy, "--name", "bot")["version"]
    shutil.rmtree(run_copy)
    made = told("reproduce", "bot:candidate", "--out", "again")
    assert made["is_same"] is True
    assert made["content"] == told("show", version)["manifest"]["content"]
    records = finished[0] / "records.jsonl"
    whole = records.read_text()
    try:
        records.write_text(whole.replace("abab", "abba"))
        other = told("reproduce", version, "--out", "other", code=1)
        assert [line.split(":")[0] for line in other["differences"]] == ["data", "content"]
        records.unlink()
        assert "records.jsonl" in told("reproduce", version, "--out", "third", code=2)["error"]["message"]
    finally:
        records.write_text(whole)
