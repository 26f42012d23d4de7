"""Which records each step sees: a pure function of seed and step."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.batches import Mixture, evenly, micro_batches, step_indices

NUM = st.integers(1, 30)
SEEDS = st.integers(0, 2**62 - 1)
WEIGHTS = (0.1, 0.5, 1.0, 1.3, 2.0, 3.5)
MIXTURES = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(WEIGHTS)), min_size=1, max_size=4).filter(
    lambda pairs: any(size for size, _ in pairs)
)


def mixture_of(pairs):
    return Mixture(tuple(size for size, _ in pairs), tuple(weight for _, weight in pairs))


def drawn(steps: range, *, mixture: Mixture, per_step: int, seed: int) -> list[int]:
    return [i for step in steps for i in step_indices(step, mixture=mixture, per_step=per_step, seed=seed)]


def epochs_of(mixture, num, seed=0):
    return [drawn(range(e, e + 1), mixture=mixture, per_step=mixture.epoch_size, seed=seed) for e in range(num)]


@given(NUM, NUM, SEEDS, st.integers(1, 3))
def test_every_epoch_of_one_source_holds_each_record_exactly_once(num: int, per_step: int, seed: int, epochs: int):
    order = drawn(range(-(-epochs * num // per_step)), mixture=evenly(num), per_step=per_step, seed=seed)
    for epoch in range(epochs):
        assert sorted(order[epoch * num : (epoch + 1) * num]) == list(range(num))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any), SEEDS)
def test_weights_of_one_are_plain_epochs_over_all_sources(sizes, seed):
    mixture = Mixture(tuple(sizes), (1.0,) * len(sizes))
    for epoch in epochs_of(mixture, 3, seed):
        assert sorted(epoch) == list(range(sum(sizes)))


@given(MIXTURES, SEEDS)
def test_each_pass_over_a_source_sees_each_of_its_records_once(pairs, seed):
    mixture = mixture_of(pairs)
    begin = 0
    epochs = epochs_of(mixture, 6, seed)
    for (size, _), take in zip(pairs, mixture.per_epoch, strict=True):
        own = [[i for i in epoch if begin <= i < begin + size] for epoch in epochs]
        assert all(len(seen) == take for seen in own)
        for num in range(1, 7):  # so far no record was seen more than once oftener than another
            times = Counter(i for seen in own[:num] for i in seen)
            assert not size or max(times.values()) - min(times[i] for i in range(begin, begin + size)) <= 1
        begin += size
    assert all(0 <= i < begin for epoch in epochs for i in epoch)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_in_the_long_run_each_source_has_its_share(weight):
    sizes = (40, 100)
    mixture = Mixture(sizes, (1.0, weight))
    order = [i for epoch in epochs_of(mixture, 20) for i in epoch]
    times = Counter(order)
    assert sum(times[i] for i in range(40)) == 20 * 40
    assert sum(times[i] for i in range(40, 140)) == round(20 * 100 * Fraction(str(weight)))
    seen = [times[i] for i in range(40, 140)]
    assert max(seen) - min(seen) <= 1
    assert sum(seen) / 100 == pytest.approx(20 * weight)


def test_a_source_of_weight_two_is_seen_twice_in_an_epoch_and_one_of_a_half_in_every_other():
    twice, half = Mixture((5,), (2.0,)), Mixture((6,), (0.5,))
    assert all(set(Counter(epoch).values()) == {2} for epoch in epochs_of(twice, 3))
    first, second, third, fourth = epochs_of(half, 4)
    assert sorted(first + second) == sorted(third + fourth) == list(range(6))


def test_a_source_is_seen_however_small_it_and_its_weight_are():
    assert Mixture((1, 0, 3), (0.01, 1.0, 0.1)).per_epoch == (1, 0, 1)


@given(MIXTURES, NUM, SEEDS, st.integers(0, 40))
def test_a_step_computed_alone_is_as_in_the_sequence(pairs, per_step: int, seed: int, step: int):
    mixture = mixture_of(pairs)
    sequence = drawn(range(step + 1), mixture=mixture, per_step=per_step, seed=seed)
    alone = step_indices(step, mixture=mixture_of(pairs), per_step=per_step, seed=seed)
    assert sequence[step * per_step :] == alone
    assert len(alone) == per_step


@given(MIXTURES, SEEDS, st.integers(1, 5))
def test_how_records_are_grouped_into_steps_does_not_change_their_order(pairs, seed: int, per_step: int):
    mixture = mixture_of(pairs)
    one_by_one = drawn(range(6 * per_step), mixture=mixture, per_step=1, seed=seed)
    assert drawn(range(6), mixture=mixture, per_step=per_step, seed=seed) == one_by_one


@pytest.mark.parametrize("mixture", [evenly(50), Mixture((30, 40), (0.5, 2.0))], ids=str)
def test_another_seed_and_another_epoch_give_another_order(mixture):
    orders = [tuple(order) for seed in range(3) for order in epochs_of(mixture, 3, seed)]
    assert len(set(orders)) == 9


def test_sources_are_mixed_within_an_epoch():
    (epoch,) = epochs_of(Mixture((200, 200), (1.0, 2.0)), 1)
    assert 40 < sum(1 for i in epoch[:200] if i < 200) < 95


def test_an_order_is_the_same_today_and_tomorrow():
    assert drawn(range(3), mixture=evenly(5), per_step=2, seed=11) == [0, 2, 4, 3, 1, 1]
    assert drawn(range(2), mixture=Mixture((3, 4), (1.3, 0.5)), per_step=4, seed=11) == [1, 5, 6, 2, 1, 0, 0, 1]


@given(st.lists(st.integers(0, 19), max_size=40), st.lists(NUM, min_size=20, max_size=20), st.integers(1, 7))
def test_micro_batches_hold_exactly_the_records_of_the_step(indices: list[int], lengths: list[int], size: int):
    cut = micro_batches(indices, lengths, size=size)
    assert Counter(i for batch in cut for i in batch) == Counter(indices)
    assert all(len(batch) == size for batch in cut[:-1])
    assert all(1 <= len(batch) <= size for batch in cut)


@given(st.lists(st.integers(0, 19), max_size=40), st.lists(NUM, min_size=20, max_size=20), st.integers(1, 7))
def test_micro_batches_put_records_of_like_length_together(indices: list[int], lengths: list[int], size: int):
    in_order = [lengths[i] for batch in micro_batches(indices, lengths, size=size) for i in batch]
    assert in_order == sorted(in_order)
