"""Catalogs, digests and units."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.catalog import Catalog
from graftwork.core.digests import CHUNK_BYTES, canonical_json, digest, digest_of_chunks, digest_of_file
from graftwork.core.errors import NotFoundError
from graftwork.core.units import bytes_text, count_text, seconds_text
from graftwork.training.spec import TrainSpec

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé中"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
)


def colours() -> Catalog[int]:
    catalog = Catalog[int]("colour")
    catalog.add("red", 1)
    catalog.add("green", 2)
    return catalog


def test_a_catalog_gives_what_was_put_in_under_its_name():
    assert colours()["green"] == 2


def test_a_catalog_lists_its_names_in_order():
    assert list(colours()) == ["green", "red"]
    assert len(colours()) == 2
    assert "red" in colours()
    assert "blue" not in colours()


def test_an_unknown_name_is_refused_with_the_nearest_and_all_there_are():
    with pytest.raises(NotFoundError) as caught:
        colours()["gren"]
    assert str(caught.value) == "no colour named 'gren'. Did you mean 'green'? There are: green, red."


def test_an_unknown_name_with_none_near_is_refused_with_all_there_are():
    with pytest.raises(NotFoundError) as caught:
        colours()["xyz"]
    assert str(caught.value) == "no colour named 'xyz'. There are: green, red."


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="colour 'red' is in the catalog already"):
        colours().add("red", 3)


@given(st.dictionaries(st.text("abc"), PLAIN))
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(value) == digest(dict(reversed(value.items())))


@given(PLAIN)
def test_canonical_json_reads_back_as_what_was_written(value):
    assert json.loads(canonical_json(value)) == value


def test_a_digest_is_sha_256_of_canonical_json():
    assert digest({"b": 1, "a": "é"}) == hashlib.sha256('{"a":"é","b":1}'.encode()).hexdigest()


def test_a_digest_tells_true_from_one_and_text_from_numbers():
    assert len({digest(True), digest(1), digest("1"), digest(1.0), digest(None)}) == 5


def test_nan_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_the_digest_of_a_spec_is_that_of_its_plain_data():
    assert digest(TrainSpec()) == digest(TrainSpec().model_dump(mode="json"))


@given(st.lists(st.binary(max_size=9)))
def test_the_digest_of_chunks_does_not_depend_on_where_they_are_cut(chunks: list[bytes]):
    assert digest_of_chunks(chunks) == hashlib.sha256(b"".join(chunks)).hexdigest()


def test_the_digest_of_a_file_is_that_of_all_its_bytes(tmp_path: Path):
    content = b"ab" * CHUNK_BYTES + b"end"
    (tmp_path / "x").write_bytes(content)
    assert digest_of_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**20, "3.0 MiB"), (2**30, "1.0 GiB"), (2**41, "2.0 TiB")],
)
def test_bytes_read_in_the_unit_that_suits_them(count: int, text: str):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599.4, "59 min 59 s"), (3599.7, "1 h 0 min")],
)
def test_seconds_read_in_the_unit_that_suits_them(seconds: float, text: str):
    assert seconds_text(seconds) == text


def test_a_value_that_rounds_to_a_full_unit_is_shown_in_that_unit():
    assert seconds_text(59.97) == "1 min 0 s"
    assert bytes_text(2**20 - 1) == "1.0 MiB"


def test_a_count_has_its_thousands_separated():
    assert [count_text(999), count_text(4884480)] == ["999", "4,884,480"]
