"""However large an update, no factor's largest singular value is above the cap afterwards."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.errors import WorkError
from graftwork.training.spectral import hold_below, largest_singular_values

SHAPES = [(1, 7), (7, 1), (2, 9), (9, 2), (8, 40), (40, 8), (16, 16), (64, 70)]


def drawn(shape, *, seed=0, size=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, dtype=torch.float64, generator=generator) * size).to(dtype)


def largest(matrix):
    """By a decomposition of the whole matrix, in float64."""
    return torch.linalg.svdvals(matrix.double())[0].item()


@pytest.mark.parametrize(("shape", "size"), list(product(SHAPES, [1.0, 1e-200, 1e150])))
def test_the_gram_matrix_says_what_the_decomposition_says(shape, size):
    matrix = drawn(shape, size=size)
    assert largest_singular_values([matrix])[0] == pytest.approx(largest(matrix), rel=1e-12)


def test_each_of_a_list_has_its_own_whatever_stands_beside_it():
    matrices = [drawn(shape, seed=n, size=10.0 ** (n % 5)) for n, shape in enumerate(SHAPES * 3)]
    alone = [largest_singular_values([matrix])[0] for matrix in matrices]
    assert largest_singular_values(matrices) == pytest.approx(alone, rel=1e-14)


@given(
    st.lists(
        st.tuples(st.sampled_from(SHAPES), st.integers(0, 99), st.floats(-30, 30)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([torch.float32, torch.float64]),
    st.floats(1e-3, 1e3),
)
@settings(max_examples=150, deadline=None)
def test_nothing_is_above_the_cap_afterwards_and_what_was_below_is_as_it_was(told, dtype, cap):
    matrices = [drawn(shape, seed=seed, size=10.0**size, dtype=dtype) for shape, seed, size in told]
    before, sigmas = [m.clone() for m in matrices], [largest(m) for m in matrices]
    assert hold_below(matrices, cap) == pytest.approx(max(sigmas), rel=1e-9)
    for matrix, was, sigma in zip(matrices, before, sigmas, strict=True):
        assert largest(matrix) <= cap * (1 + 1e-14)  # what float64 itself rounds
        if sigma < cap * (1 - 1e-9):
            assert torch.equal(matrix, was)
        elif sigma > cap:
            torch.testing.assert_close(matrix, (was.double() * (cap / sigma)).to(dtype), rtol=1e-4, atol=0)


@pytest.mark.parametrize("edge", [1 - 1e-7, 1.0, 1 + 1e-7])
def test_one_right_at_the_cap_is_judged_in_float64(edge):
    matrix = drawn((8, 300), dtype=torch.float32)
    cap, was = largest(matrix) / edge, matrix.clone()
    hold_below([matrix, drawn((8, 300), seed=1, size=2.0, dtype=torch.float32)], cap)
    assert largest(matrix) <= cap
    assert torch.equal(matrix, was) is (largest(was) <= cap)


def test_a_factor_of_zeros_stays_and_one_with_no_numbers_counts_for_nothing():
    zeros = torch.zeros(4, 9)
    assert hold_below([zeros, torch.zeros(0, 5)], 1.0) == 0.0
    assert not zeros.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_told_and_not_scaled(dtype, value):
    matrices = [drawn((3, 8), dtype=dtype) for _ in range(3)]
    matrices[1][2, 5] = value
    with pytest.raises(WorkError, match="a factor is not finite after the update"):
        hold_below(matrices, 2.0)


@pytest.mark.parametrize("adapter", [{"rank": 1}, {"rank": 8}, {"method": "structured_lora", "rank": 4}])
def test_a_huge_rate_moves_no_factor_above_the_cap(training, adapter):
    run = training(adapter=adapter, dtype="float32", spectral_cap=1.5, learning_rate=0.0999, max_grad_norm=None)
    run.optimizer.register_step_pre_hook(lambda optimizer, *_: optimizer.param_groups[0].update(lr=1e6))
    for report in run.run():
        assert report.max_singular_value > 1e4
        matrices = [m for t in run.params.values() for m in t.detach().view(-1, *t.shape[-2:])]
        assert max(map(largest, matrices)) <= 1.5
