"""`graftwork privacy`: what it prints, and that it never shows a value or a key."""

import json
from pathlib import Path

import pytest
import typer

from graftwork.cli.privacy import privacy_app
from graftwork.core.errors import ConflictError, SpecError
from graftwork.core.spec import parse
from graftwork.data.edits import edited
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.key import key_from_file
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.privacy.vault import write_vault

TEXT = "我是王小明，手机13800138000。\r\n"


def run(*words: object) -> None:
    typer.main.get_command(privacy_app).main([str(word) for word in words], standalone_mode=False)


def test_find_shows_kinds_and_masked_text_only(capsys: pytest.CaptureFixture[str]):
    run("find", TEXT)
    shown = capsys.readouterr().out
    assert "我是[PERSON]，手机[PHONE]。" in shown
    assert "小明" not in shown
    assert "13800138000" not in shown


def test_find_reads_a_file_and_answers_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "t.txt").write_text(TEXT, "utf-8")
    run("find", "--file", tmp_path / "t.txt", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in told["found"]] == ["person", "phone"]


def test_find_wants_one_text():
    with pytest.raises(SpecError, match="a text or --file, one of them"):
        run("find")


def test_measure_prints_every_kind_with_its_bar(capsys: pytest.CaptureFixture[str]):
    run("measure", "--language", "zh", "--cases", "40", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["cases"] == 40
    assert {"kind", "language", "labels", "recall", "precision", "bar", "passes"} <= told["kinds"][0].keys()
    run("measure", "--language", "en", "--cases", "40")
    assert "MB/s" in capsys.readouterr().out


def test_what_was_cleaned_is_restored_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run("new-key", tmp_path / "key")
    key = key_from_file(tmp_path / "key")
    spec = parse(PrivacySpec, {"mode": "pseudonym", "key_file": str(tmp_path / "key")})
    result = Deidentifier(spec, key).clean(TEXT)
    (tmp_path / "in").write_bytes(edited(TEXT, result.edits).encode())
    write_vault(tmp_path / "vault", result.sealed, key)
    words = (
        "restore",
        tmp_path / "in",
        tmp_path / "out",
        "--vault",
        tmp_path / "vault",
        "--key-file",
        tmp_path / "key",
    )
    run(*words)
    assert (tmp_path / "out").read_bytes() == TEXT.encode()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").read_text().strip() not in capsys.readouterr().out
    with pytest.raises(ConflictError):
        run(*words)
    run("new-key", tmp_path / "other")
    with pytest.raises(SpecError, match="the key of this vault"):
        run(*words[:2], tmp_path / "out2", *words[3:-1], tmp_path / "other")
    assert not (tmp_path / "out2").exists()


def test_restore_wants_one_key(tmp_path: Path):
    (tmp_path / "in").write_text("x")
    (tmp_path / "v").write_text('{"format": "graftwork vault 1", "proof": "", "entries": {}}')
    with pytest.raises(SpecError, match="--key-file or --key-env, one of them"):
        run("restore", tmp_path / "in", tmp_path / "out", "--vault", tmp_path / "v")
