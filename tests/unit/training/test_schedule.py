"""How the learning rate moves over a run."""

from math import cos, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.training.schedule import Constant, Cosine, rate_factor

FRACTIONS = st.floats(0, 0.99)
STEPS = st.integers(1, 200)


def rates(schedule: Constant | Cosine, num_steps: int) -> list[float]:
    return [rate_factor(schedule, step, num_steps) for step in range(num_steps)]


def test_a_constant_rate_is_full_from_the_first_step():
    assert rates(Constant(), 5) == [1.0] * 5


@pytest.mark.parametrize("schedule", [Constant(warmup_frac=0.4), Cosine(warmup_frac=0.4)])
def test_the_rate_rises_in_equal_parts_and_reaches_the_full_one(schedule: Constant | Cosine):
    assert rates(schedule, 10)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_constant_rate_stays_full_after_the_warm_up():
    assert rates(Constant(warmup_frac=0.4), 10)[4:] == [1.0] * 6


@pytest.mark.parametrize("final_frac", [0.0, 0.1, 1.0])
def test_a_cosine_falls_from_the_full_rate_to_the_final_one(final_frac: float):
    schedule = Cosine(warmup_frac=0.0, final_frac=final_frac)
    assert rate_factor(schedule, 0, 100) == 1.0
    assert rate_factor(schedule, 50, 100) == pytest.approx((1 + final_frac) / 2)
    assert rate_factor(schedule, 100, 100) == pytest.approx(final_frac)


def test_a_cosine_follows_its_formula_after_the_warm_up():
    expected = [0.2 + 0.8 * 0.5 * (1 + cos(pi * k / 8)) for k in range(8)]
    assert rates(Cosine(warmup_frac=0.2, final_frac=0.2), 10)[2:] == pytest.approx(expected)


@given(FRACTIONS, st.floats(0, 1), STEPS)
def test_no_step_is_without_a_rate_and_none_has_more_than_the_full_one(warmup: float, final: float, num_steps: int):
    for schedule in (Constant(warmup_frac=warmup), Cosine(warmup_frac=warmup, final_frac=final)):
        assert all(0 < rate <= 1 for rate in rates(schedule, num_steps))


@given(FRACTIONS, st.floats(0, 1), STEPS)
def test_a_rate_rises_and_then_never_rises_again(warmup: float, final: float, num_steps: int):
    found = rates(Cosine(warmup_frac=warmup, final_frac=final), num_steps)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert all(later <= earlier + 1e-12 for earlier, later in zip(found[top:], found[top + 1 :], strict=False))


def test_a_run_of_one_step_uses_the_full_rate():
    assert rates(Cosine(), 1) == rates(Constant(warmup_frac=0.9), 1) == [1.0]
