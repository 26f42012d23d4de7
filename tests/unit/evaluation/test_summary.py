"""From scores of items to a result: numbers, comparisons, verdicts, slices, changes; and the result as plain data."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwork.core.errors import IntegrityError, SpecError, WorkError
from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Item, Question, Score
from graftwork.evaluation.result import Subject, pairs_of, read, told
from graftwork.evaluation.summary import Scored, summarised
from graftwork.evaluation.verdicts import judged, verdict_of

EXACT = Metric(name="exact", unit="share of answers", better="more", about="", is_share=True, is_main=True)
F1 = Metric(name="f1", unit="share of words", better="more", about="", is_within_one=True)
BITS = Metric(name="bits", unit="bits per byte", better="less", about="", is_main=True)
BASE, ADAPTER, FULL = (Subject(name=n, kind=n) for n in ("base", "adapter", "full"))


def item(number, group=None, **slices):
    asked = Question(prompt=({"role": "user", "content": f"question {number}"},))
    return Item(
        id=str(number),
        group=str(number) if group is None else str(group),
        origin=f"line {number}",
        questions=(asked,),
        score=lambda _: {},
        slices=slices,
        expected=f"answer {number}",
    )


def shares(flags):
    return {str(i): {"exact": Score(float(flag))} for i, flag in enumerate(flags)}


def summed(metrics, items, scores, subjects=(BASE, ADAPTER), **more):
    dimension = Scored(name="accuracy", about="", metrics=metrics, items=items, scores=scores, **more.pop("of", {}))
    return summarised(subjects, [dimension], **more)


def of_shares(base, adapter, items=None, **more):
    items = items or [item(i) for i in range(len(base))]
    return summed([EXACT], items, {"base": shares(base), "adapter": shares(adapter)}, **more)


def drawn(num, p, seed):
    chance = random.Random(seed)
    return [chance.random() < p for _ in range(num)]


def test_an_adapter_that_wins_many_items_is_better():
    base = [False] * 40 + [True] * 60
    adapter = [True] * 30 + [False] * 10 + [True] * 60
    result = of_shares(base, adapter)
    metric = result.dimension("accuracy").metric("exact")
    assert metric.of("adapter").measured.value == 0.9
    found = metric.between("adapter", "base")
    assert (round(found.difference, 9), found.num_better, found.num_worse) == (0.3, 30, 0)
    assert found.p == pytest.approx(2**-29)
    assert found.low > 0.2
    assert found.verdict == "better"
    assert [one.verdict for one in result.verdicts] == ["better"]


def test_two_equal_subjects_are_not_worse_only_where_items_suffice():
    few, many = drawn(100, 0.7, 1), drawn(4000, 0.7, 1)
    assert of_shares(few, few).verdicts[0].verdict == "not shown"
    assert of_shares(many, many).verdicts[0].verdict == "not worse"
    found = of_shares(few, few).dimension("accuracy").metric("exact").between("adapter", "base")
    assert found.low < 0 < found.high  # no item differs, and yet the difference is not known to be none
    assert found.needed_items > 100


def test_an_adapter_that_loses_many_items_is_worse():
    base = [True] * 80 + [False] * 20
    result = of_shares(base, [False] * 40 + base[40:])
    assert result.verdicts[0].verdict == "worse"
    assert result.verdicts[0].why == "accuracy: worse"
    assert result.dimensions[0].verdicts[0].why == "exact: worse"


def test_a_loss_that_is_shown_but_smaller_than_the_margin_is_not_worse():
    base = [True] * 4000
    adapter = [False] * 40 + [True] * 3960
    found = of_shares(base, adapter, margins={"exact": 0.05}).dimension("accuracy").metric("exact").comparisons[0]
    assert found.p < 1e-9
    assert found.bound < 0.05
    assert found.verdict == "not worse"


def test_of_less_is_better_the_verdicts_turn_around():
    chance = np.random.default_rng(0)
    items = [item(i) for i in range(100)]
    low = {str(i): {"bits": Score(10 + x, 10)} for i, x in enumerate(chance.normal(size=100))}
    high = {i: {"bits": Score(one["bits"].total + 2, 10)} for i, one in low.items()}
    less = summed([BITS], items, {"base": high, "adapter": low})
    assert less.verdicts[0].verdict == "better"
    found = less.dimension("accuracy").metric("bits").comparisons[0]
    assert found.difference < 0
    assert found.low is None  # one by one the same difference: no spread, so no interval
    assert summed([BITS], items, {"base": low, "adapter": high}).verdicts[0].verdict == "worse"


@pytest.mark.parametrize(("metric", "towards"), [(BITS, -1), (F1, 1)])
def test_in_either_direction_not_worse_is_a_bound_below_the_margin(metric, towards):
    """A gain is passed and its mirror image, a loss, is not."""
    noise = np.random.default_rng(4).normal(0, 0.05, size=200)
    items, name = [item(i) for i in range(200)], metric.name
    base = {str(i): {name: Score(0.5)} for i in range(200)}
    for side, passes in ((towards, True), (-towards, False)):
        adapter = {str(i): {name: Score(0.5 + side * 0.1 + x)} for i, x in enumerate(noise.tolist())}
        found = summed([metric], items, {"base": base, "adapter": adapter}).dimensions[0].metrics[0].comparisons[0]
        assert found.low < 0.1 * side < found.high
        assert found.bound == pytest.approx(-0.1 if passes else 0.1, abs=0.05 if metric is F1 else 0.01)
        assert (found.p_not_worse < 0.025) == passes
        assert found.verdict == ("better" if passes else "worse")


def test_groups_make_intervals_wider():
    flags, other = ([x for x in drawn(50, 0.6, seed) for _ in range(4)] for seed in (1, 2))
    alone = of_shares(flags, other).dimension("accuracy").metric("exact")
    grouped = of_shares(flags, other, [item(i, i // 4) for i in range(200)]).dimension("accuracy").metric("exact")
    for first, second in (
        (alone.values[0].measured, grouped.values[0].measured),
        (alone.comparisons[0], grouped.comparisons[0]),
    ):
        assert (first.num_groups, second.num_groups) == (200, 50)
        assert (second.high - second.low) > 1.8 * (first.high - first.low)  # four copies: twice as wide
    assert grouped.comparisons[0].p > 3 * alone.comparisons[0].p


def test_chances_are_adjusted_over_the_main_metrics_of_all_dimensions():
    base, adapter = [False] * 8 + [True] * 60, [True] * 8 + [True] * 60
    one = Scored(
        name="first", about="", metrics=[EXACT], items=[item(i) for i in range(68)],
        scores={"base": shares(base), "adapter": shares(adapter)},
    )  # fmt: skip
    alone = summarised([BASE, ADAPTER], [one])
    several = summarised([BASE, ADAPTER], [replace(one, name=str(i)) for i in range(9)])
    raw = alone.dimensions[0].metrics[0].comparisons[0]
    adjusted = several.dimensions[0].metrics[0].comparisons[0]
    assert raw.p_adjusted == raw.p == adjusted.p == 2**-7
    assert adjusted.p_adjusted == pytest.approx(9 * 2**-7)
    assert (alone.verdicts[0].verdict, adjusted.verdict) == ("better", "not worse")


def test_slices_are_measured_and_the_worst_is_named():
    items = [item(i, language="zh" if i % 4 == 0 else "en", kind="one") for i in range(80)]
    flags = [i % 4 != 0 for i in range(80)]
    value = of_shares(flags, flags, items).dimension("accuracy").metric("exact").of("base")
    assert [(s.name, s.value, s.measured.value) for s in value.slices] == [("language", "en", 1), ("language", "zh", 0)]
    assert value.worst.value == "zh"


def test_a_slice_of_a_few_items_is_never_the_worst():
    items = [item(i, language="zh" if i < 3 else "en") for i in range(50)]
    value = of_shares([i >= 3 for i in range(50)], [True] * 50, items).dimension("accuracy").metric("exact").of("base")
    assert value.worst.value == "en"


def test_items_that_changed_are_shown_with_what_was_said():
    said = {"base": {"0": "wrong"}, "adapter": {"0": "answer 0"}}
    result = of_shares([False, True, True], [True, True, False], of={"said": said})
    better, worse = result.dimensions[0].changed
    assert (better.item, better.is_better, better.asked, better.expected) == ("0", True, "question 0", "answer 0")
    assert (better.said_before, better.said_after, better.origin) == ("wrong", "answer 0", "line 0")
    assert (worse.item, worse.is_better) == ("2", False)


def test_what_no_item_has_is_left_out_and_told():
    result = summed([EXACT, F1], [item(0), item(1)], {"base": shares([1, 0]), "adapter": shares([1, 1])})
    assert result.dimensions[0].metric("f1") is None
    assert result.dimensions[0].notes == ("f1: no item has it.",)


def test_items_that_only_one_subject_has_are_left_out_of_the_comparison_and_told():
    scores = {"base": shares([1, 0, 1]), "adapter": {"0": {"exact": Score(1.0)}, "1": {"exact": Score(1.0)}}}
    result = summed([EXACT], [item(i) for i in range(3)], scores)
    metric = result.dimensions[0].metric("exact")
    assert metric.comparisons[0].num_items == 2
    assert metric.of("adapter").num_unscored == 1
    assert result.dimensions[0].notes == ("exact: adapter has no number of 1 items that others have one of.",)


def test_margins_are_by_metric_or_by_dimension_and_metric_and_unknown_ones_are_refused():
    flags = [True, False] * 10
    assert of_shares(flags, flags).dimensions[0].metrics[0].comparisons[0].margin == 0.01
    both = {"exact": 0.1, "accuracy.exact": 0.2}
    assert of_shares(flags, flags, margins=both).dimensions[0].metrics[0].comparisons[0].margin == 0.2
    with pytest.raises(SpecError, match=r"evaluation.margins.exakt = 0.1: .*Did you mean 'exact'"):
        of_shares(flags, flags, margins={"exakt": 0.1})


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused_by_name(broken):
    scores = {"base": shares([1, 0]), "adapter": {"0": {"exact": Score(broken)}, "1": {"exact": Score(1.0)}}}
    with pytest.raises(WorkError, match=r"accuracy.exact of adapter, item 0"):
        summed([EXACT], [item(0), item(1)], scores)


def test_a_metric_of_all_items_together_is_of_their_summed_counts():
    metric = Metric(
        name="chrf", unit="", better="more", about="", is_within_one=True, combined=lambda c: c[..., 0] / c[..., 1]
    )
    counts = {"base": [(1, 10), (9, 10), (2, 80), (5, 10)], "adapter": [(2, 10), (9, 10), (40, 80), (6, 10)]}
    scores = {
        name: {str(i): {"chrf": Score(a / b, 1.0, (a, b))} for i, (a, b) in enumerate(own)}
        for name, own in counts.items()
    }
    result = summed([metric], [item(i) for i in range(4)], scores).dimensions[0].metric("chrf")
    assert result.of("base").measured.value == 17 / 110
    assert result.comparisons[0].difference == pytest.approx(57 / 110 - 17 / 110)
    assert result.comparisons[0].p == pytest.approx(2 / 8)  # the three that differ, swapped in all ways


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.data())
def test_whatever_is_scored_the_result_is_whole_and_can_be_read_back(num, data):
    scores = {
        name: {
            str(i): {
                "exact": Score(float(data.draw(st.booleans()))),
                "f1": Score(data.draw(st.sampled_from([0.0, 0.5, 1.0]))),
                "bits": Score(float(data.draw(st.integers(0, 9))), float(data.draw(st.integers(1, 9)))),
            }
            for i in range(num)
        }
        for name in ("base", "adapter", "full")
    }
    items = [
        item(i, data.draw(st.integers(0, 3)), language=data.draw(st.sampled_from(["en", "zh"]))) for i in range(num)
    ]
    result = summed([EXACT, F1, BITS], items, scores, (BASE, ADAPTER, FULL))
    assert read(json.loads(json.dumps(told(result), allow_nan=False))) == result
    for metric in result.dimensions[0].metrics:
        for value in metric.values:
            one = value.measured
            assert one.low is None or one.low <= one.value + 1e-9 <= one.high + 2e-9
            assert metric.name == "bits" or one.low < one.high  # never empty
        for one in metric.comparisons:
            assert one.low is None or one.low <= one.difference + 1e-9 <= one.high + 2e-9
            if one.p_not_worse is not None and abs(one.p_not_worse - one.alpha) > 1e-6:
                assert (one.p_not_worse < one.alpha) == (one.bound < one.margin)


def test_the_order_of_items_changes_nothing():
    flags, other = drawn(60, 0.5, 1), drawn(60, 0.6, 2)
    items = [item(i, i // 3) for i in range(60)]
    assert of_shares(flags, other, items).verdicts == of_shares(flags, other, items[::-1]).verdicts
    first, second = (of_shares(flags, other, some).dimensions[0].metrics[0] for some in (items, items[::-1]))
    for ours, theirs in zip(first.values, second.values, strict=True):
        assert (ours.measured.low, ours.measured.high) == pytest.approx((theirs.measured.low, theirs.measured.high))


def test_verdicts_given_again_are_the_same():
    result = of_shares(drawn(300, 0.5, 1), drawn(300, 0.8, 2))
    assert judged(result.dimensions) == result.dimensions
    comparison = result.dimensions[0].metrics[0].comparisons[0]
    assert verdict_of(replace(comparison, p_adjusted=0.9, p_not_worse=0.9), "more") == "not shown"


def test_a_result_that_was_changed_in_form_is_refused():
    plain = told(of_shares([True, False], [True, True]))
    with pytest.raises(IntegrityError, match="extra"):
        read({**plain, "extra": 1})
    with pytest.raises(IntegrityError, match="verdict"):
        read({**plain, "verdicts": [{**plain["verdicts"][0], "verdict": "superb"}]})


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ([1, 1], "no interval: 2 items"),
        ([1, 1, 1], "no interval: 3 items"),
        ([3, 2], "no interval: 2 groups"),
        ([5], "no interval: 1 group"),
        ([1, 1, 1, 1], ""),
    ],
)
def test_an_amount_of_few_items_has_no_interval_and_says_why(sizes, why):
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    items = [item(i, group=group) for i, group in enumerate(groups)]
    scores = {one.id: {"bits": Score(1.0 + 3 * i * i, 4)} for i, one in enumerate(items)}
    more = {one.id: {"bits": Score(2.0 + 5 * i, 4)} for i, one in enumerate(items)}
    found = summed([BITS], items, {"base": scores, "adapter": more}).dimension("accuracy").metric("bits")
    measured = found.of("base").measured
    assert measured.why_none == why
    assert (measured.low is None, measured.high is None) == (bool(why), bool(why))
    compared = found.comparisons[0]
    assert (compared.low is None) == bool(why)
    assert compared.by.startswith(why)


def test_of_several_adapters_each_further_one_is_compared_with_the_first():
    second, third = (Subject(name=name, kind="adapter") for name in ("second", "third"))
    assert pairs_of([BASE, ADAPTER, second, third]) == (
        ("adapter", "base"), ("second", "base"), ("second", "adapter"), ("third", "base"), ("third", "adapter"),
    )  # fmt: skip


def test_adapters_are_compared_with_base_below_and_full():
    below = Subject(name="below", kind="below")
    assert pairs_of([BASE, below, ADAPTER, FULL]) == (
        ("below", "base"), ("adapter", "base"), ("adapter", "below"), ("adapter", "full"), ("full", "base"),
    )  # fmt: skip
