"""When the held-out loss is looked at, when a training is at its end, and which look was the best."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain
from graftwork.training.spec import TrainSpec
from graftwork.training.stopping import COST_FRAC, FORWARD_FRAC, LookPlan, best_of, look_plan, since_gain

losses = st.lists(st.floats(0, 10), min_size=1, max_size=30)


def plan(num_steps=90, num_held_out=160, **asked):
    return look_plan(parse(TrainSpec, asked), num_steps=num_steps, num_held_out=num_held_out)


def looked_at(told: LookPlan) -> list[int]:
    return [step for step in range(1, told.num_steps + 1) if told.is_due(step)]


def test_nothing_said_it_is_looked_at_now_and_then_and_after_the_last_step():
    told = plan(batch_size=8, accumulation=2)
    assert looked_at(told) == [12, 24, 36, 48, 60, 72, 84, 90]
    assert told.num_records == 16


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(2, 500))
def test_looks_that_nobody_asked_for_cost_little_or_are_the_fewest_there_can_be(steps, batch_size, num_held_out):
    told = plan(steps, num_held_out, batch_size=batch_size)
    passes = (len(looked_at(told)) + 1) * told.num_records * FORWARD_FRAC  # one more for the base
    fewest = len(looked_at(told)) == 1 and told.num_records <= 16
    assert fewest or passes <= COST_FRAC * steps * batch_size
    assert len(looked_at(told)) <= 10


def test_looks_that_decide_are_ten_on_sixty_four_records_whatever_they_cost():
    for asked in ({"keep": "best"}, {"early_stopping": {}}):
        told = plan(20, batch_size=1, **asked)
        assert (len(looked_at(told)), told.num_records) == (10, 64)


def test_what_the_recipe_says_is_taken_and_no_more_records_than_there_are():
    told = plan(10, num_held_out=30, evaluate_every=4, evaluation_records=1000)
    assert looked_at(told) == [4, 8, 10]
    assert told.num_records == 30
    assert plan(10, evaluate_every=99).every == 10


def test_zero_is_never():
    assert plan(evaluate_every=0) is None


def test_what_needs_looks_is_refused_without_them_all_at_once():
    with pytest.raises(SpecError) as caught:
        parse(TrainSpec, {"evaluate_every": 0, "evaluation_records": 8, "early_stopping": {}, "keep": "best"})
    hint = "evaluate_every is 0: the held-out loss is never looked at."
    assert str(caught.value).splitlines() == [
        f"evaluation_records = 8: expected null. {hint}",
        f"early_stopping = 'a mapping': expected off. {hint}",
        f"keep = 'best': expected last. {hint}",
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"early_stopping": {"patience": 0}}, "early_stopping.patience = 0: expected a value >= 1."),
        ({"early_stopping": {"min_delta": -1}}, "early_stopping.min_delta = -1: expected a value >= 0"),
        ({"early_stopping": {"patiense": 1}}, "early_stopping.patiense = 1: expected no such key. Did you mean"),
        ({"early_stopping": "on"}, "early_stopping = 'on': expected 'off'."),
        ({"keep": "bst"}, "keep = 'bst': expected 'last' or 'best'. Did you mean 'best'?"),
        ({"evaluate_every": -1}, "evaluate_every = -1: expected a value >= 0."),
        ({"evaluation_records": 1}, "evaluation_records = 1: expected a value >= 2."),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is(asked, said):
    with pytest.raises(SpecError) as caught:
        parse(TrainSpec, asked)
    assert str(caught.value).startswith(said)


def test_settings_that_are_not_used_are_not_in_the_recipe_so_old_digests_hold():
    assert not plain(TrainSpec()).keys() & {"evaluate_every", "evaluation_records", "early_stopping", "keep"}
    asked = {"evaluate_every": 3, "early_stopping": {"patience": 2, "min_delta": 0.1}, "keep": "best"}
    assert parse(TrainSpec, plain(parse(TrainSpec, asked))) == parse(TrainSpec, asked)


@pytest.mark.parametrize(
    ("seen", "min_delta", "waited"),
    [
        ([3, 2, 1], 0, 0),
        ([3, 2, 2, 2], 0, 2),
        ([3, 2, 2.5, 1.9], 0, 0),
        ([3.0, 2.9, 2.8, 2.7], 0.15, 1),  # small gains add up: 3.0 to 2.8 is one
        ([1.0, 1.0], 0, 1),
    ],
)
def test_waiting_begins_anew_with_every_gain(seen, min_delta, waited):
    assert since_gain(seen, min_delta=min_delta) == waited


@given(losses, st.floats(0, 1), st.integers(1, 5))
def test_a_training_once_at_its_end_would_have_ended_at_no_earlier_look(seen, min_delta, patience):
    asked = {"early_stopping": {"patience": patience, "min_delta": min_delta}, "evaluate_every": 1}
    told = plan(len(seen), **asked)
    ends = [n for n in range(1, len(seen) + 1) if told.is_enough(seen[:n])]
    if ends:
        first = ends[0]
        assert first > patience, "the first look is a gain over nothing"
        lowest = list(accumulate(seen[:first], min))
        assert lowest[-1] >= lowest[first - patience - 1] - min_delta, "nothing was gained in the last looks"


@given(losses)
def test_the_best_look_is_the_first_of_the_lowest(seen):
    index = best_of(seen)
    assert seen[index] == min(seen)
    assert all(loss > seen[index] for loss in seen[:index])
