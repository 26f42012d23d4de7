"""The advice, on both sides of each threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.pipeline.strategy.advice import Level, advise, bought, needed


def level(name, kind, right, num=200, tokens=60.0, low=0.0):
    """A level that has the first `right` of `num` records right."""
    return Level(name=name, kind=kind, scores=(1.0,) * right + (0.0,) * (num - right), low=low, prompt_tokens=tokens)


ZERO, FEW = level("no example", "zero-shot", 20), level("5 examples", "few-shot", 150, tokens=400.0)


def advice(*levels, margin=0.02, enough=0.9):
    return advise(levels, margin=margin, enough=enough, are_shares=True)


def test_few_shot_within_the_margin_of_tuned_needs_no_training():
    told = advice(ZERO, FEW, level("tuned", "tuned", 145))
    assert told.verdict == "prompt"
    assert "5 examples is as good as tuned" in told.text
    assert "400 tokens a request" in told.reasons[1]


def test_tuned_far_above_is_worth_it_and_the_tokens_it_saves_are_told():
    told = advice(ZERO, FEW, level("tuned", "tuned", 190))
    assert told.verdict == "tune"
    assert told.reasons[:2] == (
        "tuned has +0.200 over 5 examples (95 % interval +0.150 to +0.261)",
        "It takes 340 tokens less a request.",
    )


def test_a_small_gain_is_not_shown_either_way_and_says_how_many_records_would():
    told = advice(ZERO, FEW, level("tuned", "tuned", 152))
    assert told.verdict == "measure more"
    assert "hold out about" in told.text


def test_the_margin_decides_between_no_need_and_not_shown():
    tuned = level("tuned", "tuned", 152)
    high = bought(FEW, tuned, are_shares=True).high
    assert advice(ZERO, FEW, tuned, margin=high + 1e-9).verdict == "prompt"
    assert advice(ZERO, FEW, tuned, margin=high).verdict == "measure more"


def test_the_interval_above_zero_decides_between_tune_and_not_shown():
    verdicts = {gained: advice(ZERO, FEW, level("tuned", "tuned", 150 + gained)).verdict for gained in range(20)}
    lows = {gained: bought(FEW, level("tuned", "tuned", 150 + gained), are_shares=True).low for gained in verdicts}
    for gained, verdict in verdicts.items():
        if verdict != "prompt":
            assert (verdict == "tune") == (lows[gained] > 0)
    assert {"tune", "measure more"} <= set(verdicts.values())


@pytest.mark.parametrize(("low", "verdict"), [(0.9, "prompt"), (0.8999, "train and compare")])
def test_without_a_tuned_level_prompting_does_it_when_its_lower_end_is_enough(low, verdict):
    assert advice(ZERO, level("5 examples", "few-shot", 195, low=low)).verdict == verdict


def test_without_a_scale_nothing_is_ever_enough():
    assert advice(level("no example", "zero-shot", 200, low=1.0), enough=None).verdict == "train and compare"


def test_of_equal_prompts_the_shorter_one_is_compared():
    same = level("20 examples", "few-shot", 150, tokens=1300.0)
    told = advice(ZERO, FEW, same, level("tuned", "tuned", 150))
    assert "5 examples is as good" in told.text


def test_each_step_is_told_against_the_one_before():
    told = advice(ZERO, FEW, level("tuned", "tuned", 190))
    assert [(step.over, step.name) for step in told.steps] == [("no example", "5 examples"), ("5 examples", "tuned")]
    assert told.steps[0].more_tokens == 340.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_an_interval_of_shares_is_never_empty_and_mirrors(pairs):
    one = Level(name="a", kind="zero-shot", scores=tuple(float(a) for a, _ in pairs), low=0.0, prompt_tokens=1)
    other = Level(name="b", kind="tuned", scores=tuple(float(b) for _, b in pairs), low=0.0, prompt_tokens=1)
    there, back = bought(one, other, are_shares=True), bought(other, one, are_shares=True)
    assert there.low < there.high
    assert there.low == pytest.approx(-back.high)


def test_more_records_are_needed_than_there_are():
    assert needed(FEW, level("tuned", "tuned", 152), margin=0.02, are_shares=True) > 200
