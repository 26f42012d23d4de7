"""What every metric of an answer keeps, whichever it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork.evaluation.metrics  # noqa: F401
from graftwork.evaluation.metrics.metric import TEXT_METRICS, WEIGHED_METRICS, Weighed

WORDS = st.sampled_from(
    ["refund", "The", "card", "not", "12", "1.5", "退款", "三天", "，", "。", "ＡＢＣ", "B12", "it's", "\n", "🙂", "-5"]
)
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)
LONG = "头孢类药物应当在饭后服用，每天两次，每次一片，连续服用七天，不得与酒同服。"
LONG_EN = "Take the tablet after a meal, twice a day, one each time, for seven days, and never with alcohol or coffee."
TEXT_NAMES = list(TEXT_METRICS)


@pytest.mark.parametrize("name", TEXT_NAMES)
@pytest.mark.parametrize("text", ["Physiology", "退款", "18", LONG, LONG_EN, "用 Visa card 付款要 3 天"])
def test_an_equal_answer_scores_one(name, text):
    metric = TEXT_METRICS[name]
    if metric.applies(text):
        score = metric.score(text, text)
        assert score.total == pytest.approx(1)
        assert score.weight == 1


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_every_metric_applies_to_something_in_english_and_in_chinese(name):
    for short, long in [("退款三天", LONG), ("refund in three days", LONG_EN)]:
        assert TEXT_METRICS[name].applies(short) or TEXT_METRICS[name].applies(long)


@pytest.mark.parametrize("name", TEXT_NAMES)
@given(said=TEXTS, expected=TEXTS)
@settings(max_examples=60, deadline=None)
def test_every_score_is_between_zero_and_one(name, said, expected):
    score = TEXT_METRICS[name].score(said, expected)
    assert 0 <= score.total <= 1 + 1e-12
    assert score.weight == 1


@pytest.mark.parametrize("name", [name for name in TEXT_NAMES if TEXT_METRICS[name].is_symmetric])
@given(said=TEXTS, expected=TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_symmetric_metric_is_the_same_either_way(name, said, expected):
    score = TEXT_METRICS[name].score
    assert score(said, expected) == score(expected, said)


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_an_empty_answer_scores_zero(name):
    metric = TEXT_METRICS[name]
    for text in ("退款", LONG, LONG_EN):
        if metric.applies(text):
            assert metric.score("", text).total == 0


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_another_answer_scores_less_than_the_right_one(name):
    assert TEXT_METRICS[name].score("完全无关", LONG).total < 0.5
    assert TEXT_METRICS[name].score("Nothing whatsoever", LONG_EN).total < 0.5


@pytest.mark.parametrize("name", [name for name in TEXT_NAMES if TEXT_METRICS[name].metric.is_share])
@given(said=TEXTS, expected=TEXTS)
@settings(max_examples=40, deadline=None)
def test_a_share_is_zero_or_one(name, said, expected):
    assert TEXT_METRICS[name].score(said, expected).total in (0.0, 1.0)


COMBINED = [name for name in TEXT_NAMES if TEXT_METRICS[name].metric.combined]


@pytest.mark.parametrize("name", COMBINED)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_what_is_combined_over_items_does_not_depend_on_their_order(name, pairs, seed):
    metric = TEXT_METRICS[name]
    counts_NK = np.array([metric.score(*pair).counts for pair in pairs])
    mixed = np.random.default_rng(seed).permutation(len(pairs))
    whole = metric.metric.combined(counts_NK.sum(0))
    assert whole == metric.metric.combined(counts_NK[mixed].sum(0))
    assert 0 <= whole <= 1 + 1e-12


@pytest.mark.parametrize("name", COMBINED)
def test_what_is_combined_takes_arrays_of_any_shape(name):
    metric = TEXT_METRICS[name]
    counts_NK = np.array([metric.score(said, LONG_EN).counts for said in (LONG_EN, "Take it twice a day", "", "one")])
    each_N = metric.metric.combined(counts_NK)
    assert each_N.shape == (4,)
    assert [float(metric.metric.combined(one_K)) for one_K in counts_NK] == each_N.tolist()
    assert metric.metric.combined(counts_NK.reshape(2, 2, -1)).ravel().tolist() == each_N.tolist()


WEIGHTS = st.lists(st.floats(0.01, 100), min_size=2, max_size=6)


@pytest.mark.parametrize("name", list(WEIGHED_METRICS))
def test_the_lighter_the_right_option_the_better(name):
    metric = WEIGHED_METRICS[name]
    light = Weighed(options=("是的", "不是"), right=0, nats=(0.1, 9.0), tokens=(2, 2))
    heavy = Weighed(options=("是的", "不是"), right=0, nats=(9.0, 0.1), tokens=(2, 2))
    good, bad = metric.score(light), metric.score(heavy)
    assert good.weight == bad.weight
    assert (good.total > bad.total) == (metric.metric.better == "more")


@pytest.mark.parametrize("name", [name for name in WEIGHED_METRICS if WEIGHED_METRICS[name].needs_choice])
@given(nats=WEIGHTS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_choice_does_not_depend_on_the_order_of_options_and_a_tie_is_none(name, nats, data):
    order = data.draw(st.permutations(range(len(nats))))
    options = [str(at) for at in range(len(nats))]
    as_is = Weighed(options=options, right=0, nats=nats, tokens=[1] * len(nats))
    mixed = Weighed(
        options=[options[at] for at in order],
        right=order.index(0),
        nats=[nats[at] for at in order],
        tokens=as_is.tokens,
    )
    score = WEIGHED_METRICS[name].score
    assert score(as_is) == score(mixed)
    assert score(as_is).total == float(all(nats[0] < other for other in nats[1:]))
