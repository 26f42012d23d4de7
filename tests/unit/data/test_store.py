"""Encoded records on disk."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.store import StoreWriter, TokenStore, files_of, packed

ORIGINS = st.builds(
    Origin,
    st.sampled_from(["a.jsonl", "中文 文件.csv", "b/c.parquet"]),
    st.integers(1, 2**40),
    st.sampled_from(["line", "entry", "row", "file"]),
)


@st.composite
def entries(draw):
    pairs = draw(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.booleans()), min_size=1, max_size=9))
    tokens_T, is_target_T = zip(*pairs, strict=True)
    return Encoded(tokens_T, is_target_T, draw(ORIGINS), draw(st.integers(0, 9)), draw(st.integers(0, 9)))


def written(name, given_):
    with StoreWriter(name) as store:
        for entry in given_:
            store.add(packed(entry))
    return TokenStore(name, store.files)


ONE = Encoded((5, 6, 7), (True, False, True), Origin("a.jsonl", 3), 1, 2)


@settings(deadline=None)
@given(st.lists(entries(), max_size=8))
def test_what_is_written_is_read_back(tmp_path_factory, given_):
    store = written(tmp_path_factory.mktemp("store") / "train", given_)
    assert len(store) == len(given_)
    assert list(store) == given_
    assert [store[i] for i in range(len(store))] == given_
    assert [store.packed(i) for i in range(len(store))] == [packed(entry) for entry in given_]
    assert store.lengths.tolist() == [len(entry.tokens_T) for entry in given_]
    assert store.sources.tolist() == [entry.source for entry in given_]


def test_types_that_are_read_back_are_plain(tmp_path):
    (one,) = written(tmp_path / "x", [ONE])
    assert {type(token) for token in one.tokens_T} == {int}
    assert {type(target) for target in one.is_target_T} == {bool}
    assert {type(one.source), type(one.window), type(one.origin.line)} == {int}


@given(entries())
def test_an_entry_as_bytes_counts_as_before(entry):
    assert packed(entry).num_tokens == len(entry.tokens_T)
    assert packed(entry).num_targets == entry.num_targets


def test_the_lengths_so_far_are_told_while_writing(tmp_path):
    with StoreWriter(tmp_path / "x") as store:
        assert store.lengths == []
        store.add(packed(ONE))
        store.add(packed(Encoded((1,), (False,), ONE.origin)))
        assert store.lengths == [3, 1]


def test_an_empty_store_is_read_as_nothing(tmp_path):
    store = written(tmp_path / "empty", [])
    assert (len(store), list(store), store.lengths.tolist(), store.sources.tolist()) == (0, [], [], [])


def test_a_store_makes_its_folder_and_has_three_files(tmp_path):
    written(tmp_path / "new" / "run.1", [ONE])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "run.1.index.npy",
        "run.1.targets",
        "run.1.tokens",
    ]
    assert sorted(path.name for path in files_of(tmp_path / "run.1")) == [
        "run.1.index.npy",
        "run.1.targets",
        "run.1.tokens",
    ]


def test_tokens_take_four_bytes_and_targets_one(tmp_path):
    written(tmp_path / "x", [ONE, ONE])
    tokens, targets, _ = files_of(tmp_path / "x")
    assert tokens.read_bytes() == b"\5\0\0\0\6\0\0\0\7\0\0\0" * 2
    assert targets.read_bytes() == b"\1\0\1" * 2


def half_written(name):
    with StoreWriter(name) as store:
        store.add(packed(ONE))
        raise KeyError("stop")


def test_a_store_left_with_an_error_has_no_index(tmp_path):
    with pytest.raises(KeyError):
        half_written(tmp_path / "x")
    assert not files_of(tmp_path / "x")[2].exists()


def test_a_store_that_is_written_again_and_left_with_an_error_has_no_index(tmp_path):
    written(tmp_path / "x", [ONE, ONE])
    with pytest.raises(KeyError):
        half_written(tmp_path / "x")
    assert not files_of(tmp_path / "x")[2].exists()


def test_an_entry_that_is_not_there_is_an_index_error(tmp_path):
    with pytest.raises(IndexError):
        written(tmp_path / "x", [ONE])[1]


def test_files_that_come_in_turn_are_told_apart(tmp_path):
    mixed = [Encoded((1,), (False,), Origin(name, i + 1)) for i, name in enumerate("abacab")]
    assert [one.origin for one in written(tmp_path / "x", mixed)] == [one.origin for one in mixed]
