"""Which records are held out, and which stay together."""

import random
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.data.spec import HeldOut
from graftwork.data.split import held_out, joined

SEEDS = st.integers(0, 2**62 - 1)
FRACTIONS = st.floats(0.01, 0.99)
GROUPS = st.lists(st.integers(0, 25), min_size=4, max_size=60)


def numbered(labels):
    """Labels as numbers from 0."""
    return np.unique(np.array(labels, dtype=np.int64), return_inverse=True)[1].astype(np.int64)


def digests(num, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, (num, 2), dtype=np.uint64)


def no_strata(num):
    return np.zeros(num, dtype=np.int64)


def drawn(named, groups, strata, asked, seed):
    try:
        return held_out(named, groups, strata, asked, seed=seed)
    except SpecError:
        assume(False)
        raise


def apart(num, seed, **asked):
    """Which of `num` records, each a group, are held out."""
    return held_out(digests(num), np.arange(num), no_strata(num), HeldOut(**asked), seed=seed)


def some_strata(groups, num_strata):
    """A stratum for each record, the same within a group."""
    return groups % num_strata


@given(GROUPS, FRACTIONS, SEEDS, st.integers(1, 4))
def test_groups_are_never_separated(labels, fraction, seed, num_strata):
    groups = numbered(labels)
    is_held = drawn(digests(len(groups)), groups, some_strata(groups, num_strata), HeldOut(fraction=fraction), seed)
    for group in set(groups.tolist()):
        assert len(set(is_held[groups == group].tolist())) == 1


@given(GROUPS, FRACTIONS, SEEDS, st.randoms(use_true_random=False))
def test_neither_the_order_of_records_nor_the_numbers_of_groups_matter(labels, fraction, seed, chance):
    groups = numbered(labels)
    named, strata, asked = digests(len(groups)), some_strata(groups, 3), HeldOut(fraction=fraction)
    is_held = drawn(named, groups, strata, asked, seed)
    numbers = np.array(chance.sample(range(int(groups.max()) + 1), int(groups.max()) + 1), dtype=np.int64)
    assert held_out(named, numbers[groups], strata, asked, seed=seed).tolist() == is_held.tolist()
    order = np.array(chance.sample(range(len(groups)), len(groups)))
    shuffled = held_out(named[order], groups[order], strata[order], asked, seed=seed)
    assert shuffled.tolist() == is_held[order].tolist()


@given(GROUPS, FRACTIONS, SEEDS, st.integers(1, 3))
def test_of_each_stratum_as_many_are_held_out_as_whole_groups_allow(labels, fraction, seed, num_strata):
    groups = numbered(labels)
    strata = some_strata(groups, num_strata)
    is_held = drawn(digests(len(groups)), groups, strata, HeldOut(fraction=fraction), seed)
    for stratum in set(strata.tolist()):
        inside = strata == stratum
        share = round(fraction * len(groups)) / len(groups) * int(inside.sum())
        assert int(is_held[inside].sum()) <= ceil(share - 1e-9)
        room = floor(share + 1e-9) - int(is_held[inside].sum())
        left = groups[inside & ~is_held]
        assert all(size > room for size in np.bincount(left)[np.unique(left)])


@given(st.integers(3, 60), FRACTIONS, SEEDS)
def test_of_records_without_groups_exactly_the_share_is_held_out(num, fraction, seed):
    is_held = drawn(digests(num), np.arange(num), no_strata(num), HeldOut(fraction=fraction), seed)
    assert int(is_held.sum()) == round(fraction * num)


def test_a_group_belongs_to_the_stratum_of_its_smallest_digest():
    named = np.array([[5, 0], [1, 9], [1, 2], [7, 0], [8, 0], [9, 0]], dtype=np.uint64)
    groups, strata = np.array([0, 0, 0, 1, 2, 3]), np.array([1, 1, 0, 1, 1, 1])
    for seed in range(20):
        is_held = held_out(named, groups, strata, HeldOut(fraction=0.67), seed=seed)
        assert not is_held[:3].any() or is_held[:3].all()
        assert int(is_held[3:].sum()) == 2
        assert int(is_held[:3].sum()) == 0  # 3 are more than two thirds of 3


def test_each_stratum_gives_its_share_whatever_the_others_are():
    strata = np.repeat([3, 7, 9], [100, 50, 10])
    is_held = held_out(digests(160), np.arange(160), strata, HeldOut(fraction=0.2), seed=1)
    assert [int(is_held[strata == stratum].sum()) for stratum in (3, 7, 9)] == [20, 10, 2]


def test_no_more_are_held_out_than_the_most_asked_for():
    assert int(apart(100, 0, fraction=0.5, most=7).sum()) == 7
    assert int(apart(100, 0, fraction=0.05, most=50).sum()) == 5


def test_no_more_are_held_out_than_the_most_asked_for_however_many_strata_there_are():
    is_held = held_out(digests(170), np.arange(170), np.arange(170) // 17, HeldOut(fraction=0.5, most=6), seed=0)
    assert int(is_held.sum()) <= 6


def test_a_share_is_held_out_of_many_small_strata_too():
    is_held = held_out(digests(400), np.arange(400), np.arange(400) // 4, HeldOut(fraction=0.1), seed=0)
    assert 20 <= int(is_held.sum()) <= 60


def test_another_seed_holds_out_others():
    assert len({tuple(apart(100, seed).tolist()) for seed in range(5)}) == 5


def test_a_draw_is_the_same_today_and_tomorrow():
    assert np.flatnonzero(apart(20, 7, fraction=0.2)).tolist() == [9, 13, 15, 17]


def test_one_more_record_moves_few_of_the_others():
    before = apart(100, 0, fraction=0.2)
    after = apart(101, 0, fraction=0.2)  # its first hundred digests are the same
    assert int((before & ~after[:100]).sum()) <= 1


def test_every_record_has_the_same_chance_to_be_held_out():
    times = sum(apart(50, seed, fraction=0.2).astype(int) for seed in range(400))
    assert times.min() > 40
    assert times.max() < 130


@pytest.mark.parametrize(
    ("num", "groups", "fraction", "held"),
    [(0, [], 0.5, 0), (1, [0], 0.5, 0), (3, [0, 1, 2], 0.1, 0), (10, range(10), 0.1, 1), (3, [0, 1, 2], 0.9, 3)],
    ids=str,
)
def test_a_split_that_leaves_too_few_on_a_side_is_refused(num, groups, fraction, held):
    groups = np.array(groups, dtype=np.int64)
    with pytest.raises(SpecError) as raised:
        held_out(digests(num), groups, no_strata(num), HeldOut(fraction=fraction), seed=0)
    assert str(raised.value) == (
        f"data.evaluation.fraction = {fraction}: expected a share that leaves records to train on and holds out at "
        f"least 2. There are {num} different records, {held} would be held out."
    )


def test_one_group_of_everything_cannot_be_split():
    with pytest.raises(SpecError, match=r"There are 9 different records, 0 would be held out\."):
        held_out(digests(9), np.zeros(9, dtype=np.int64), no_strata(9), HeldOut(fraction=0.5), seed=0)


def test_a_most_that_is_too_few_is_what_the_refusal_names():
    with pytest.raises(SpecError, match=r"data\.evaluation\.most = 1"):
        apart(100, 0, fraction=0.5, most=1)


@pytest.mark.parametrize("asked", [{"fraction": 0.0}, {"fraction": 1.0}, {"most": 0}, {"stratify": "length"}], ids=str)
def test_what_cannot_be_asked_is_refused(asked):
    with pytest.raises(SpecError, match=f"^{next(iter(asked))} = "):
        parse(HeldOut, asked)


KEYS = st.lists(st.tuples(*[st.integers(-1, 6)] * 3), min_size=0, max_size=30)


def naive_groups(rows):
    """Components, merged one by one until nothing changes."""
    groups = [{i} for i in range(len(rows))]
    for i, first in enumerate(rows):
        for j, second in enumerate(rows[:i]):
            if any(a == b >= 0 for a, b in zip(first, second, strict=True)):
                both = next(g for g in groups if i in g) | next(g for g in groups if j in g)
                groups = [g for g in groups if not g & both] + [both]
    return sorted(sorted(group) for group in groups)


@given(KEYS)
def test_records_that_agree_in_a_key_are_joined_and_through_others_too(rows):
    keys = [np.array([row[k] for row in rows], dtype=np.int64) for k in range(3)]
    groups = joined(*keys)
    assert groups.dtype == np.int64
    assert sorted(set(groups.tolist())) == list(range(len(set(groups.tolist()))))
    found = [np.flatnonzero(groups == group).tolist() for group in range(len(set(groups.tolist())))]
    assert sorted(found) == naive_groups(rows)


def test_a_long_chain_is_one_group():
    num = 20_000
    first, second = np.arange(num) // 2, (np.arange(num) + 1) // 2
    order = np.array(random.Random(0).sample(range(num), num))
    assert set(joined(first[order], second[order]).tolist()) == {0}
