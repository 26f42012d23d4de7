"""What each check concludes from what was seen, on both sides of each threshold."""

import pytest

from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.pipeline.doctor.checks import (
    base_frozen,
    begins_as_base,
    cost,
    cuts,
    data_smells,
    gradients,
    in_order,
    lengths,
    save_and_load,
    targets,
    template,
)
from graftwork.pipeline.doctor.patient import last_target_only, shortened


def test_checks_have_an_order_and_a_question_each():
    assert [check.name for check in in_order()] == [
        "targets",
        "template",
        "lengths",
        "data",
        "trained",
        "start",
        "gradients",
        "cuts",
        "saving",
        "cost",
    ]
    assert all(check.asks.endswith("?") for check in in_order())


@pytest.mark.parametrize(
    ("apart", "promise", "verdict"),
    [(0.0, "exact", "passed"), (1e-9, "exact", "failed"), (1e-5, "nearly", "passed"), (1e-3, "nearly", "failed")],
)
def test_step_0_is_held_to_what_the_method_promises(apart, promise, verdict):
    assert begins_as_base.judge(apart, promise=promise, dtype="float32").verdict == verdict


def test_a_method_that_begins_elsewhere_is_no_failure():
    assert begins_as_base.judge(0.4, promise="no", dtype="float32").verdict == "passed"
    assert begins_as_base.weakest(["exact", "no", "nearly"]) == "no"
    assert begins_as_base.weakest(["exact", "nearly"]) == "nearly"
    assert begins_as_base.weakest(["exact"]) == "exact"


def test_a_tensor_reached_only_after_one_step_is_reached():
    told = gradients.judge({"a": 0.0, "b": 1.0}, {"a": 0.5, "b": 1.0}, {})
    assert told.verdict == "passed"
    assert told.details["reached_after_one_step"] == 1


def test_a_tensor_reached_only_before_the_step_is_reached():
    assert gradients.judge({"a": 0.5}, {"a": 0.0}, {}).verdict == "passed"


@pytest.mark.parametrize("norm", [0.0, None])
def test_a_tensor_that_is_never_reached_is_named(norm):
    told = gradients.judge({"a": norm, "b": 1.0}, {"a": norm, "b": 1.0}, {"a": "attention.q"})
    assert told.verdict == "failed"
    assert "1 of 2 trained tensors get no gradient, before a step or after: a" in told.found


def test_an_expert_that_no_token_was_sent_to_is_a_warning():
    assert gradients.judge({"a": None, "b": 1.0}, {"a": 0.0, "b": 1.0}, {"a": "experts.up"}).verdict == "warned"


@pytest.mark.parametrize("wild", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_fails(wild):
    assert gradients.judge({"a": 1.0}, {"a": wild}, {}).verdict == "failed"


@pytest.mark.parametrize(("apart", "verdict"), [(1e-3, "passed"), (1.1e-3, "failed")])
def test_cuts_are_judged_by_the_worst(apart, verdict):
    told = cuts.judge({"2 at a time": 0.0, "4 at a time": apart}, dtype="float32")
    assert (told.verdict, "4 at a time" in told.found) == (verdict, True)


def test_one_record_cannot_be_cut():
    assert cuts.judge({}, dtype="float32").verdict == "does not apply"


@pytest.mark.parametrize(
    ("apart", "as_lora", "verdict"),
    [(0.0, False, "passed"), (1e-9, False, "failed"), (1e-6, True, "passed"), (1e-2, True, "failed")],
)
def test_what_is_read_again_must_be_what_was_written(apart, as_lora, verdict):
    assert save_and_load.judge(apart, as_lora=as_lora, dtype="float32").verdict == verdict


FROZEN = {"rows": [], "num_tensors": 2, "num_params": 8, "num_base_params": 100, "asking": [], "base_moved": False}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "passed"),
        ({"base_moved": True}, "failed"),
        ({"asking": ["model.embed"]}, "failed"),
        ({"num_params": 0}, "failed"),
        ({"base_moved": None}, "passed"),
    ],
)
def test_a_base_that_moves_fails(changed, verdict):
    assert base_frozen.judge(**{**FROZEN, **changed}).verdict == verdict


LENGTHS = {
    "num_lost": 0,
    "num_kept_back": 0,
    "num_records": 100,
    "num_cut": 0,
    "longest": 90,
    "max_tokens": 128,
}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "passed"),
        ({"num_lost": 1}, "failed"),
        ({"num_kept_back": 1}, "warned"),
        ({"num_cut": 30}, "passed"),
        ({"num_cut": 31}, "warned"),
    ],
)
def test_what_lengths_cost_is_told(changed, verdict):
    assert lengths.judge(**{**LENGTHS, **changed}).verdict == verdict


DATA = {
    "num_rows": 1000,
    "num_train": 900,
    "num_held_out": 90,
    "epochs": 1.0,
    "quarantined": {},
    "answers": ["a", "b"] * 8,
    "unread": 0,
}


@pytest.mark.parametrize(
    ("changed", "smell"),
    [
        ({}, None),
        ({"num_train": 50}, None),
        ({"num_train": 49}, "fewer than 50 training records"),
        ({"num_held_out": 30}, None),
        ({"num_held_out": 29}, "fewer than 30 held-out records"),
        ({"epochs": 10.0}, None),
        ({"epochs": 10.1}, "seen 10 times"),
        ({"quarantined": {"empty": 200}}, None),
        ({"quarantined": {"empty": 201}}, "201 of 1,000 rows are in quarantine"),
        ({"quarantined": {"contradictions": 1}}, "1 rows: contradictions"),
        ({"unread": 1}, "1 rows are not read back"),
        ({"answers": ["a"] * 9 + ["b"]}, None),
        ({"answers": ["a"] * 10}, "10 of the first 10 answers are the same"),
    ],
)
def test_each_smell_is_told_with_what_to_do(changed, smell):
    told = data_smells.judge(**{**DATA, **changed})
    assert told.verdict == ("passed" if smell is None else "warned")
    if smell:
        assert smell in told.found
        assert told.to_do


def test_an_answer_that_is_not_learned_fails():
    told = targets.judge(num_targets=5, num_tokens=50, num_looked_at=2, unsaid=["a.jsonl line 3"], shown=[])
    assert told.verdict == "failed"
    assert "in 1 of 2 records the answer is not among them, first a.jsonl line 3" in told.found


def test_a_template_is_judged_by_all_three():
    well = {name: [] for name in template.TO_DO}
    assert template.judge(3, well).verdict == "passed"
    assert template.judge(0, well).verdict == "does not apply"
    for name in template.TO_DO:
        told = template.judge(3, {**well, name: ["a.jsonl line 1"]})
        assert (told.verdict, told.to_do) == ("failed", template.TO_DO[name])


LOAD = cost.Load(num_steps=10, step_tokens=100.0, pass_tokens=50, look_tokens=200.0)


@pytest.mark.parametrize(
    ("free", "is_auto", "verdict"),
    [
        (None, False, "passed"),
        (625, False, "passed"),
        (624, False, "warned"),
        (499, False, "failed"),
        (9, True, "passed"),
    ],
)
def test_memory_that_is_not_free_is_told_before_it_is_needed(free, is_auto, verdict):
    told = cost.judge(LOAD, token_s=0.5, token_bytes=10.0, held_bytes=1000, free_bytes=free, is_auto=is_auto)
    assert told.verdict == verdict
    assert told.details["peak_bytes"] == 1500
    assert told.details["seconds"] == 550.0


def test_a_long_row_is_cut_around_its_first_target():
    row = Encoded(tuple(range(100)), tuple(t >= 60 for t in range(100)), Origin("a", 1))
    cut = shortened(row, 20)
    assert (list(cut.tokens_T), sum(cut.is_target_T)) == (list(range(50, 70)), 10)
    assert shortened(row, 100) is row
    assert sum(last_target_only(row).is_target_T) == 1
    assert last_target_only(row).is_target_T[99]
