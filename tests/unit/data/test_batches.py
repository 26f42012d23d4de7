"""Which records each step sees: a pure function of seed and step."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.batches import micro_batches, step_indices

NUM = st.integers(1, 30)
SEEDS = st.integers(0, 2**62 - 1)


def drawn(steps: range, *, num: int, per_step: int, seed: int) -> list[int]:
    return [i for step in steps for i in step_indices(step, num_records=num, per_step=per_step, seed=seed)]


@given(NUM, NUM, SEEDS, st.integers(1, 3))
def test_every_epoch_holds_each_record_exactly_once(num: int, per_step: int, seed: int, epochs: int):
    order = drawn(range(-(-epochs * num // per_step)), num=num, per_step=per_step, seed=seed)
    for epoch in range(epochs):
        assert sorted(order[epoch * num : (epoch + 1) * num]) == list(range(num))


@given(NUM, NUM, SEEDS, st.integers(0, 40))
def test_a_step_computed_alone_is_as_in_the_sequence(num: int, per_step: int, seed: int, step: int):
    sequence = drawn(range(step + 1), num=num, per_step=per_step, seed=seed)
    alone = step_indices(step, num_records=num, per_step=per_step, seed=seed)
    assert sequence[step * per_step :] == alone
    assert len(alone) == per_step


@given(NUM, SEEDS, st.integers(1, 5))
def test_how_records_are_grouped_into_steps_does_not_change_their_order(num: int, seed: int, per_step: int):
    one_by_one = drawn(range(6 * per_step), num=num, per_step=1, seed=seed)
    assert drawn(range(6), num=num, per_step=per_step, seed=seed) == one_by_one


def test_another_seed_and_another_epoch_give_another_order():
    orders = [tuple(step_indices(e, num_records=50, per_step=50, seed=s)) for e in range(3) for s in range(3)]
    assert len(set(orders)) == 9


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
