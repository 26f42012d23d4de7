"""Records end to end in rows."""

import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.data.packs import packs

LENGTHS = st.lists(st.integers(1, 30), max_size=40)


def fewest_rows(lengths, row_tokens):
    """The fewest rows that hold `lengths`, by trying all."""

    def fits(left, rooms):
        if not left:
            return True
        tried = set()
        for i, room in enumerate(rooms):
            if room >= left[0] and room not in tried:
                tried.add(room)
                if fits(left[1:], [*rooms[:i], room - left[0], *rooms[i + 1 :]]):
                    return True
        return False

    ordered = sorted(lengths, reverse=True)
    return next(n for n in count() if fits(ordered, [row_tokens] * n))


@given(LENGTHS, st.integers(1, 40))
def test_every_record_is_in_exactly_one_row(lengths, row_tokens):
    rows = packs(lengths, row_tokens=row_tokens)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(rows)


@given(LENGTHS, st.integers(1, 40))
def test_no_row_is_longer_than_asked_but_one_record_that_is_longer_by_itself(lengths, row_tokens):
    for row in packs(lengths, row_tokens=row_tokens):
        assert len(row) == 1 or sum(lengths[i] for i in row) <= row_tokens


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), max_size=9), st.integers(12, 16))
def test_there_are_hardly_more_rows_than_the_fewest_possible(lengths, row_tokens):
    rows, fewest = len(packs(lengths, row_tokens=row_tokens)), fewest_rows(lengths, row_tokens)
    assert fewest <= rows <= 11 / 9 * fewest + 1


@pytest.mark.parametrize("seed", range(5))
def test_thousands_of_records_fill_their_rows(seed):
    draw = random.Random(seed)
    lengths = [draw.randint(1, 1024) for _ in range(3000)]
    rows = packs(lengths, row_tokens=2048)
    assert len(rows) <= 1.01 * sum(lengths) / 2048 + 1


@given(LENGTHS, st.integers(1, 40))
def test_the_longest_come_first_and_those_of_equal_length_in_their_order(lengths, row_tokens):
    rows = packs(lengths, row_tokens=row_tokens)
    assert rows == packs(list(lengths), row_tokens=row_tokens)
    for row in rows:
        assert row == sorted(row, key=lambda i: (-lengths[i], i))
    begun = [(-lengths[row[0]], row[0]) for row in rows]
    assert begun == sorted(begun)


@given(LENGTHS, st.integers(1, 40))
def test_no_two_rows_would_fit_into_one(lengths, row_tokens):
    sums = sorted(sum(lengths[i] for i in row) for row in packs(lengths, row_tokens=row_tokens))
    assert len(sums) < 2 or sums[0] + sums[1] > row_tokens


def test_a_record_goes_into_the_row_that_it_fills_best():
    assert packs([7, 6, 4, 3], row_tokens=10) == [[0, 3], [1, 2]]


def test_of_rows_with_equal_room_the_one_begun_last_is_filled():
    assert packs([6, 6, 4], row_tokens=10) == [[0], [1, 2]]


def test_no_records_need_no_rows():
    assert packs([], row_tokens=8) == []
