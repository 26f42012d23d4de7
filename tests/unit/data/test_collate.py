"""Encoded records as tensors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.collate import collate, collate_packed
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin

RECORDS = st.lists(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=7), min_size=1)


def encoded(pairs):
    tokens_T, is_target_T = zip(*pairs, strict=True)
    return Encoded(tokens_T, is_target_T, Origin("x.jsonl", 1))


@given(RECORDS)
def test_a_row_is_a_record_and_nothing_behind_it(records):
    records = [encoded(pairs) for pairs in records]
    batch = collate(records)
    longest = max(len(record.tokens_T) for record in records)
    for i, record in enumerate(records):
        padding = longest - len(record.tokens_T)
        assert batch.tokens_BT[i].tolist() == [*record.tokens_T, *[0] * padding]
        assert batch.is_target_BT[i].tolist() == [False, *record.is_target_T[1:], *[False] * padding]
    assert batch.num_tokens == sum(len(record.tokens_T) for record in records)
    assert batch.num_targets == sum(record.num_targets for record in records)
    assert batch.positions_BT is None


@given(RECORDS)
def test_a_packed_row_is_its_records_end_to_end_each_counted_from_nought(records):
    records = [encoded(pairs) for pairs in records]
    batch = collate_packed(records)
    assert batch.tokens_BT.tolist() == [[token for record in records for token in record.tokens_T]]
    assert batch.positions_BT.tolist() == [[i for record in records for i in range(len(record.tokens_T))]]
    assert batch.is_target_BT.tolist() == [[t for record in records for t in (False, *record.is_target_T[1:])]]
    assert batch.num_tokens == batch.tokens_BT.numel()
    assert batch.num_targets == int(batch.is_target_BT.sum()) == sum(record.num_targets for record in records)


@pytest.mark.parametrize("lay", [collate, collate_packed])
def test_tensors_have_the_types_they_say(lay):
    batch = lay([encoded([(1, True), (2, True)]), encoded([(3, False)])])
    assert (batch.tokens_BT.dtype, batch.is_target_BT.dtype) == (torch.int64, torch.bool)
    assert batch.tokens_BT.shape == batch.is_target_BT.shape


def test_a_batch_is_moved_whole():
    moved = collate_packed([encoded([(1, True), (2, True)])]).to(torch.device("meta"))
    assert {moved.tokens_BT.device.type, moved.is_target_BT.device.type, moved.positions_BT.device.type} == {"meta"}
    assert (moved.num_tokens, moved.num_targets) == (2, 1)
    assert collate([encoded([(1, True)])]).to(torch.device("meta")).positions_BT is None
