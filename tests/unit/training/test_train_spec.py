"""How long a run is, and what a training request refuses."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.training.schedule import Constant
from graftwork.training.spec import TrainSpec


def test_steps_are_taken_as_given():
    assert TrainSpec(steps=7, batch_size=4).num_steps(1000) == 7


@pytest.mark.parametrize(
    ("epochs", "num_records", "steps"),
    [(1, 32, 4), (1, 33, 5), (2, 32, 8), (0.5, 32, 2), (0.1, 8, 1), (1, 1, 1), (1.5, 32, 6)],
)
def test_epochs_become_steps_that_see_every_record(epochs: float, num_records: int, steps: int):
    assert TrainSpec(epochs=epochs, batch_size=4, accumulation=2).num_steps(num_records) == steps


def test_one_epoch_is_taken_when_neither_is_given():
    assert TrainSpec(batch_size=16).num_steps(160) == TrainSpec(epochs=1, batch_size=16).num_steps(160) == 10


@given(st.integers(1, 9), st.integers(1, 5000), st.integers(1, 64))
def test_whole_epochs_take_the_fewest_steps_that_see_every_record_so_often(epochs: int, num: int, per_step: int):
    steps = TrainSpec(epochs=epochs, batch_size=per_step).num_steps(num)
    assert (steps - 1) * per_step < epochs * num <= steps * per_step


@pytest.mark.parametrize(("epochs", "num_records", "batch_size"), [("1.1", 400, 8), ("2.2", 200, 8), ("0.07", 100, 1)])
def test_rounding_of_epochs_adds_no_step(epochs: str, num_records: int, batch_size: int):
    exact = ceil(Fraction(epochs) * num_records / batch_size)
    assert TrainSpec(epochs=float(epochs), batch_size=batch_size).num_steps(num_records) == exact


def test_a_step_sees_batch_size_times_accumulation_records():
    assert TrainSpec(batch_size=3, accumulation=5).records_per_step == 15


def test_steps_and_epochs_together_are_refused():
    with pytest.raises(SpecError) as caught:
        parse(TrainSpec, {"steps": 10, "epochs": 1})
    hint = "steps is 10; set one of them to null."
    assert str(caught.value) == f"epochs = 1.0: expected steps or epochs, not both. {hint}"


@pytest.mark.parametrize("raw", [{"steps": 10, "epochs": None}, {"steps": None, "epochs": 1}, {"steps": None}])
def test_one_of_steps_and_epochs_may_be_null(raw: dict[str, object]):
    assert parse(TrainSpec, raw).num_steps(160) == 10


def test_nothing_has_to_be_said_about_training():
    assert parse(TrainSpec, {}) == TrainSpec()
    assert TrainSpec().schedule == Constant()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("epochs", 0),
        ("batch_size", 0),
        ("accumulation", 0),
        ("learning_rate", 0),
        ("learning_rate", 0.1),
        ("max_grad_norm", 0),
        ("spectral_cap", 0),
        ("checkpoint_every", 0),
        ("seed", -1),
        ("seed", 1 << 62),
    ],
)
def test_a_value_out_of_its_range_is_refused(key: str, value: float):
    with pytest.raises(SpecError) as caught:
        parse(TrainSpec, {key: value})
    assert str(caught.value).startswith(f"{key} = {value}: expected a value ")


@pytest.mark.parametrize(("key", "value"), [("weight_decay", 1), ("beta1", 1), ("beta2", -0.1), ("eps", 0)])
def test_an_optimizer_setting_out_of_its_range_is_refused(key: str, value: float):
    with pytest.raises(SpecError) as caught:
        parse(TrainSpec, {"optimizer": {key: value}})
    assert str(caught.value).startswith(f"optimizer.{key} = {value}: expected a value ")
