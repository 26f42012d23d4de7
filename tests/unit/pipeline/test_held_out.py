"""Which held-out records are looked at."""

import random

import pytest

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.store import StoreWriter, TokenStore, packed
from graftwork.pipeline.held_out import chosen


@pytest.fixture
def stored(tmp_path):
    """`stored(name, records)`: records as `prepare` leaves them."""

    def store(name, records):
        with StoreWriter(tmp_path / name) as writer:
            for record in records:
                writer.add(packed(record))
        return TokenStore(tmp_path / name, writer.files)

    return store


def some(num):
    return [Encoded((n, n + 1, 7), (False, False, True), Origin("held.jsonl", n + 1)) for n in range(num)]


def test_the_same_records_are_looked_at_whatever_their_order(stored):
    records = some(40)
    mixed = random.Random(3).sample(records, k=40)
    picks = [{store[i].tokens_T for i in chosen(store, 9)} for store in (stored("a", records), stored("b", mixed))]
    assert picks[0] == picks[1]
    assert len(picks[0]) == 9


def test_more_are_those_and_others(stored):
    store = stored("a", some(40))
    few, more = chosen(store, 5), chosen(store, 20)
    assert set(few) < set(more)
    assert more == sorted(more)
    assert chosen(store, 40) == list(range(40))


def test_they_are_not_the_first_ones(stored):
    assert chosen(stored("a", some(200)), 8) != list(range(8))
