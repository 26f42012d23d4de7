"""Recipe text: YAML 1.2 to mappings and back, and what is wrong with it by line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.recipe import mapping_of, overlaid, read_recipe, text_of


def refused(text: str | bytes, path: Path) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        read_recipe(path)
    return str(caught.value).replace(str(path), "r.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1e5", 1e5),
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("010", 10),
        ("0o17", 15),
        ("1:30", "1:30"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("'2e-4'", "2e-4"),
    ],
)
def test_yaml_is_read_as_version_1_2(text: str, value: object):
    read = mapping_of(f"a: {text}", "r.yaml")["a"]
    assert read == value
    assert type(read) is type(value)


def test_a_key_written_twice_is_refused_with_its_line(tmp_path: Path):
    said = refused("name: a\nbase: b\nname: c\n", tmp_path / "r.yaml")
    given = """'found duplicate key "name" with value "c" (original value: "a")'"""
    assert said == f"r.yaml line 3 = {given}: expected each key once"


def test_a_nested_key_written_twice_is_refused_with_its_line(tmp_path: Path):
    said = refused("training:\n  steps: 1\n  steps: 2\n", tmp_path / "r.yaml")
    assert said.startswith("r.yaml line 3 = ")
    assert said.endswith(": expected each key once")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: [1\nc: 2\n", """r.yaml line 3 = "expected ',' or ']', but got ':'": expected YAML 1.2"""),
        ("a:\n\t- b\n", r"""r.yaml line 2 = "found character '\\t' that cannot start any token": expected YAML 1.2"""),
        ("a: *x\n", """r.yaml line 1 = "found undefined alias 'x'": expected YAML 1.2"""),
        ("a: 1\n---\nb: 1\n", "r.yaml line 2 = 'but found another document': expected YAML 1.2"),
        ("a: !x y\n", """r.yaml line 1 = "could not determine a constructor for the tag '!x'": expected YAML 1.2"""),
    ],
)
def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, text: str, said: str):
    assert refused(text, tmp_path / "r.yaml") == said


@pytest.mark.parametrize("text", ["a: 2020-13-45\n", "a: \x01\n", f"a: {'9' * 5000}\n", "a: " + "[" * 400])
def test_yaml_that_holds_no_possible_value_is_refused(tmp_path: Path, text: str):
    said = refused(text, tmp_path / "r.yaml")
    assert said.startswith("r.yaml")
    assert said.endswith(": expected YAML 1.2")


def test_a_recipe_never_makes_objects(tmp_path: Path):
    assert "could not determine a constructor" in refused("a: !!python/object:os.system x\n", tmp_path / "r.yaml")


@pytest.mark.parametrize(("text", "value"), [("", None), ("[1]", [1]), ("abc", "abc"), ("# only this\n", None)])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path, text: str, value: object):
    expected = "expected a mapping of keys to values. See recipes/ for examples."
    assert refused(text, tmp_path / "r.yaml") == f"r.yaml = {value!r}: {expected}"


def test_keys_that_are_no_text_are_refused_together(tmp_path: Path):
    said = refused("1: a\nnull: b\nname: c\n", tmp_path / "r.yaml")
    assert said == "r.yaml = 1: expected a key that is text\nr.yaml = None: expected a key that is text"


def test_a_recipe_that_is_not_utf_8_is_refused(tmp_path: Path):
    said = refused(b"name: \xff\n", tmp_path / "r.yaml")
    reason = "'utf-8' codec can't decode byte 0xff in position 6: invalid start byte"
    assert said == f"recipe = 'r.yaml': expected UTF-8 text. {reason}"


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path: Path):
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfname: a\r\nbase: b\r\n")
    assert read_recipe(tmp_path / "r.yaml") == {"name": "a", "base": "b"}


def test_a_recipe_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path):
    (tmp_path / "demo.yaml").touch()
    with pytest.raises(NotFoundError) as caught:
        read_recipe(tmp_path / "dmo.yaml")
    assert str(caught.value) == f"no recipe at {tmp_path / 'dmo.yaml'}. Did you mean 'demo.yaml'?"


def test_a_recipe_in_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(NotFoundError) as caught:
        read_recipe(tmp_path / "nowhere" / "r.yaml")
    assert str(caught.value) == f"no recipe at {tmp_path / 'nowhere' / 'r.yaml'}."


def test_a_folder_is_no_recipe(tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        read_recipe(tmp_path)
    assert str(caught.value) == f"recipe = '{tmp_path}': expected a YAML file. It is a folder."


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_path_that_no_file_can_have_is_refused_in_our_words(tmp_path: Path, name: str):
    with pytest.raises((NotFoundError, SpecError)):
        read_recipe(tmp_path / name)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ODD = st.sampled_from(["no", "2e-4", "010", "1:30", "~", "", " x ", "2024-01-01", "a: b", "- a", "#", "\n", "x\ty"])
TEXT = ODD | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=40)


@given(st.dictionaries(TEXT, VALUES | TEXT | st.lists(VALUES | TEXT, max_size=3), max_size=3))
def test_recipe_text_reads_back_as_what_was_written(mapping: dict[str, object]):
    assert mapping_of(text_of(mapping), "r.yaml") == mapping


def test_a_next_line_character_survives_recipe_text():
    assert mapping_of(text_of({"a": "x\x85y"}), "r.yaml") == {"a": "x\x85y"}


def test_recipe_text_keeps_the_order_of_keys_and_long_text_in_words_of_any_script():
    assert text_of({"b": "中文", "a": [1]}) == "b: 中文\na:\n- 1\n"


def test_what_lies_over_wins_key_by_key():
    under = {"a": {"x": 1, "y": {"z": 2}}, "b": 3}
    assert overlaid(under, {"a": {"y": {"w": 4}}, "c": 5}) == {"a": {"x": 1, "y": {"z": 2, "w": 4}}, "b": 3, "c": 5}


@pytest.mark.parametrize("key", ["kind", "method"])
def test_a_mapping_of_another_form_replaces_what_lies_under_it(key: str):
    under = {"s": {key: "cosine", "final_frac": 0.1}}
    assert overlaid(under, {"s": {key: "constant"}}) == {"s": {key: "constant"}}
    assert overlaid(under, {"s": {key: "cosine", "x": 1}}) == {"s": {key: "cosine", "final_frac": 0.1, "x": 1}}


def test_a_mapping_that_does_not_say_its_form_keeps_the_form_below():
    assert overlaid({"s": {"kind": "cosine"}}, {"s": {"x": 1}}) == {"s": {"kind": "cosine", "x": 1}}


def test_a_plain_value_replaces_a_mapping_and_a_mapping_a_plain_value():
    assert overlaid({"rank": {"kind": "tiered"}}, {"rank": 8}) == {"rank": 8}
    assert overlaid({"rank": 8}, {"rank": {"kind": "tiered"}}) == {"rank": {"kind": "tiered"}}


def test_laying_over_changes_neither_mapping():
    under, over = {"a": {"x": 1}}, {"a": {"y": 2}}
    overlaid(under, over)
    assert (under, over) == ({"a": {"x": 1}}, {"a": {"y": 2}})
