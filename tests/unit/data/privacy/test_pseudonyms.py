"""Pseudonyms: the same for the same value, back exactly as written, worthless without the key."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.errors import IntegrityError, SpecError
from graftwork.core.spec import parse
from graftwork.data.edits import edited
from graftwork.data.privacy.deidentify import Cleaned, Deidentifier
from graftwork.data.privacy.key import Key
from graftwork.data.privacy.labelled import labelled
from graftwork.data.privacy.pseudonym import PLACEHOLDER
from graftwork.data.privacy.recognisers.bank_card import luhn_digit
from graftwork.data.privacy.recognisers.resident_id import check_digit
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.privacy.vault import merged, read_vault, restored, write_vault

KEY, OTHER = Key(bytes(range(32))), Key(bytes(range(1, 33)))


def deidentifier(key: Key | None = KEY, **asked: object) -> Deidentifier:
    told = {"mode": "pseudonym", "key_env": "GRAFTWORK_PRIVACY_KEY"} if key is not None else {}
    return Deidentifier(parse(PrivacySpec, {**told, **asked}), key)


def cleaned(text: str, **asked: object) -> tuple[str, Mapping[str, bytes]]:
    result = deidentifier(**asked).clean(text)
    return edited(text, result.edits), result.sealed


def test_masking_names_the_kind_and_seals_nothing():
    result = deidentifier(None).clean("王小明的手机是13800138000")
    assert edited("王小明的手机是13800138000", result.edits) == "[PERSON]的手机是[PHONE]"
    assert result.sealed == {}


def test_dropping_changes_nothing_and_says_what_is_there():
    result = deidentifier(None, mode="drop").clean("手机13800138000")
    assert result == Cleaned((), result.found, result.sealed)
    assert [f.kind for f in result.found] == ["phone"]


def test_every_written_form_of_a_value_has_the_same_code():
    forms = ["13800138000", "138-0013-8000", "１３８ ００１３ ８０００", "+86 13800138000"]
    masked = [cleaned(f"手机 {form} 。")[0] for form in forms]
    codes = {text.split("_")[1][:10] for text in masked}
    assert len(codes) == 1
    assert len(set(masked)) == len(forms)


def test_a_person_has_one_code_in_any_case_order_and_with_a_title():
    forms = ["John Smith", "JOHN SMITH", "SMITH, John", "Dr. John Smith"]
    codes = {cleaned(f"We met {form} there.")[0].split("_")[1][:10] for form in forms}
    assert len(codes) == 1


def test_the_usual_form_has_the_short_placeholder():
    text, _ = cleaned("手机 13800138000 。")
    assert PLACEHOLDER.fullmatch(text.split()[1])
    assert "." not in text.split()[1]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["zh", "en"]), st.sampled_from(["placeholder", "preserve"]))
def test_what_is_cleaned_comes_back_exactly(seed: int, language: str, style: str):
    for case in labelled(language, seed=seed, num_cases=4):
        text, vault = cleaned(case.text, style=style)
        assert restored(text, vault, KEY) == case.text
        for label in case.labels:
            if label.kind in ("email", "resident_id") and (case.text[label.start : label.end] in text):
                raise AssertionError(text)


def test_text_that_looks_like_a_placeholder_survives_the_round_trip():
    first, vault = cleaned("手机13800138000")
    again, more = cleaned(f"{first}，已处理 [PERSON_K7Q2M9XAB3]")
    whole = merged([vault, more])
    assert restored(again, more, KEY) == f"{first}，已处理 [PERSON_K7Q2M9XAB3]"
    assert restored(again, whole, KEY) == f"{first}，已处理 [PERSON_K7Q2M9XAB3]"
    assert restored(restored(again, whole, KEY), whole, KEY) == "手机13800138000，已处理 [PERSON_K7Q2M9XAB3]"


def test_another_key_makes_other_placeholders_and_restores_nothing():
    text, vault = cleaned("手机13800138000")
    assert text != edited("手机13800138000", deidentifier(OTHER).clean("手机13800138000").edits)
    with pytest.raises(SpecError) as caught:
        restored(text, vault, OTHER)
    assert str(caught.value) == (
        "key = '(hidden)': expected the key of this vault. Nothing was restored. "
        "Use the key with which the data was cleaned."
    )


def test_a_vault_is_the_same_bytes_for_the_same_data_and_holds_nothing_readable(tmp_path: Path):
    text, vault = cleaned("王小明 13800138000")
    for name in ("a", "b"):
        write_vault(tmp_path / name, dict(reversed(vault.items())), KEY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "13800138000" not in (tmp_path / "a").read_text()
    assert "小明" not in (tmp_path / "a").read_text()
    assert restored(text, read_vault(tmp_path / "a"), KEY) == "王小明 13800138000"


def test_a_wrong_key_is_told_even_by_an_empty_vault(tmp_path: Path):
    write_vault(tmp_path / "v", {}, KEY)
    with pytest.raises(SpecError):
        restored("text", read_vault(tmp_path / "v"), OTHER)


def test_a_changed_entry_is_told_from_a_wrong_key(tmp_path: Path):
    text, vault = cleaned("手机13800138000")
    write_vault(tmp_path / "v", vault, KEY)
    told = json.loads((tmp_path / "v").read_text())
    (name,) = told["entries"]
    told["entries"][name] = told["proof"]
    (tmp_path / "v").write_text(json.dumps(told))
    with pytest.raises(IntegrityError, match="was changed"):
        restored(text, read_vault(tmp_path / "v"), KEY)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}', '{"format": "graftwork vault 1", "proof": "?"}'])
def test_what_is_no_vault_is_refused(tmp_path: Path, content: str):
    (tmp_path / "v").write_text(content)
    with pytest.raises(IntegrityError):
        read_vault(tmp_path / "v")


def test_entries_of_another_key_are_not_written(tmp_path: Path):
    _, vault = cleaned("手机13800138000")
    with pytest.raises(IntegrityError, match=r"another key\. Nothing was written"):
        write_vault(tmp_path / "v", vault, OTHER)
    assert not (tmp_path / "v").exists()


def test_vaults_of_workers_meet_and_a_collision_is_told():
    _, one = cleaned("手机13800138000")
    _, two = cleaned("手机13900139000")
    assert merged([one, two, one]) == {**one, **two}
    with pytest.raises(IntegrityError, match="stands for two different values"):
        merged([one, dict.fromkeys(one, b"other")])


def test_preserved_numbers_keep_length_signs_and_checksum():
    text = "卡号4111 1111 1111 1111，身份证11010519491231002X，手机138-0013-8000"
    new, vault = cleaned(text, style="preserve")
    card, identity, phone = (part.lstrip("卡号身份证手机") for part in new.split("，"))
    digits = card.replace(" ", "")
    assert [len(group) for group in card.split(" ")] == [4, 4, 4, 4]
    assert luhn_digit(digits[:-1]) == digits[-1]
    assert len(identity) == 18
    assert check_digit(identity[:17]) == identity[17]
    assert [len(group) for group in phone.split("-")] == [3, 4, 4]
    assert phone[:3] == "138"
    assert not {"4111", "1949", "8000"} & {card[5:9], identity[6:10], phone[-4:]}
    assert restored(new, vault, KEY) == text


def test_preserved_numbers_are_one_for_one():
    made = {cleaned(f"手机1380013{n:04}", style="preserve")[0] for n in range(300)}
    assert len(made) == 300


def test_allowed_texts_are_never_touched():
    text = "热线010-65529988，邮箱help@example.com，联系li@other.org"
    spared = deidentifier(None, allow=["01065529988", "*@example.com"])
    assert [text[f.start : f.end] for f in spared.find(text)] == ["li@other.org"]


def test_only_the_kinds_asked_for_are_found():
    text = "王小明 13800138000 li@example.com"
    assert [f.kind for f in deidentifier(None, kinds=["phone"]).find(text)] == ["phone"]
    assert [f.kind for f in deidentifier(None, kinds=["person_zh", "email"]).find(text)] == ["person", "email"]


def test_a_key_is_in_no_repr_and_does_not_pickle():
    assert repr(KEY) == "Key(hidden)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(KEY)
