"""Projecting by products alone is PCGrad on the vectors, in whatever order it is drawn."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graftwork.training.conflict_weights import angle_deg, cosine, norm_ratio, orders, projected, summed


def drawn(num_tasks, seed, size=12):
    """Vectors of very different lengths that often point against each other."""
    draw = torch.Generator().manual_seed(seed)
    common = torch.randn(size, generator=draw, dtype=torch.float64)
    signs = torch.randn(num_tasks, 1, generator=draw, dtype=torch.float64)
    own = torch.randn(num_tasks, size, generator=draw, dtype=torch.float64)
    return (signs * common + own) * 10.0 ** torch.randint(-3, 4, (num_tasks, 1), generator=draw)


def reference(vectors_KN, order):
    """PCGrad as its paper writes it: each vector moved, one after another."""
    moved = []
    for task, others in enumerate(order):
        vector = vectors_KN[task].clone()
        for other in others:
            along = vector @ vectors_KN[other]
            if along < 0:
                vector -= along / (vectors_KN[other] @ vectors_KN[other]) * vectors_KN[other]
        moved.append(vector)
    return torch.stack(moved)


def products(vectors_KN):
    return (vectors_KN @ vectors_KN.T).tolist()


@pytest.mark.parametrize("num_tasks", [2, 3, 5])
def test_weights_give_the_vectors_of_the_paper(num_tasks):
    in_conflict = 0
    for seed in range(50):
        vectors = drawn(num_tasks, seed)
        order = orders(num_tasks, seed=seed, step=3)
        weights = projected(products(vectors), order)
        expected = reference(vectors, order)
        torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64) @ vectors, expected)
        total = torch.tensor(summed(weights), dtype=torch.float64) @ vectors
        torch.testing.assert_close(total, expected.sum(0), rtol=1e-7, atol=1e-9 * float(vectors.abs().max()))
        in_conflict += not torch.equal(expected, vectors)
    assert in_conflict > 20


@given(st.integers(0, 10_000))
def test_of_two_tasks_neither_points_against_the_other_afterwards(seed):
    one, other = drawn(2, seed)
    weights = torch.tensor(projected(products(torch.stack([one, other])), [[1], [0]]), dtype=torch.float64)
    after_one, after_other = weights @ torch.stack([one, other])
    rounding = 1e-14 * float(one.norm() * other.norm())
    assert float(after_one @ other) >= -rounding
    assert float(after_other @ one) >= -rounding


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_tasks_that_agree_keep_weights_of_exactly_one(seed, num_tasks):
    vectors = drawn(num_tasks, seed).abs()
    weights = projected(products(vectors), orders(num_tasks, seed=seed, step=0))
    assert summed(weights) == [1.0] * num_tasks
    assert norm_ratio(products(vectors), summed(weights)) == 1.0


def test_opposed_tasks_leave_nothing():
    vectors = torch.tensor([[1.0, 2.0], [-3.0, -6.0]], dtype=torch.float64)
    told = products(vectors)
    assert angle_deg(cosine(told, 0, 1)) == pytest.approx(180, abs=1e-5)
    weights = summed(projected(told, [[1], [0]]))
    torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64) @ vectors, torch.zeros(2).double())
    assert norm_ratio(told, weights) == pytest.approx(0, abs=1e-7)


def test_at_120_degrees_each_gives_up_half_a_length_and_the_sum_grows():
    vectors = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5]], dtype=torch.float64)
    told = products(vectors)
    assert angle_deg(cosine(told, 0, 1)) == pytest.approx(120)
    assert norm_ratio(told, summed(projected(told, [[1], [0]]))) == pytest.approx(1.5)


def test_what_tasks_are_called_does_not_matter():
    vectors, order = drawn(3, 4), [[2, 1], [0, 2], [1, 0]]
    expected = torch.tensor(summed(projected(products(vectors), order)), dtype=torch.float64) @ vectors
    for names in permutations(range(3)):  # the task that was `old` is called names.index(old)
        renamed = vectors[list(names)]
        same_order = [[names.index(other) for other in order[old]] for old in names]
        total = torch.tensor(summed(projected(products(renamed), same_order)), dtype=torch.float64) @ renamed
        torch.testing.assert_close(total, expected)


def test_of_three_tasks_the_order_counts_and_is_drawn_from_seed_and_step():
    drawn_orders = {str(orders(3, seed=seed, step=step)) for seed in range(4) for step in range(8)}
    assert len(drawn_orders) > 4
    assert orders(3, seed=2, step=9) == orders(3, seed=2, step=9)
    assert all(sorted([task, *others]) == [0, 1, 2] for task, others in enumerate(orders(3, seed=1, step=1)))
    told = products(drawn(3, 4))
    sums = {tuple(summed(projected(told, orders(3, seed=0, step=step)))) for step in range(8)}
    assert len(sums) > 1


def test_a_task_without_gradient_moves_nothing_and_has_no_angle():
    told = [[0.0, 0.0], [0.0, 4.0]]
    assert summed(projected(told, [[1], [0]])) == [1.0, 1.0]
    assert cosine(told, 0, 1) is None
    assert angle_deg(None) is None
    assert cosine([[float("nan")] * 2] * 2, 0, 1) is None


def test_where_nothing_is_left_of_the_ordinary_sum_there_is_no_ratio():
    assert norm_ratio([[1.0, -1.0], [-1.0, 1.0]], [1.0, 1.0]) is None
