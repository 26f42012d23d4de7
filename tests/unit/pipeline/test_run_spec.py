"""What a user reads when the recipe of a run is wrong, word for word."""

from typing import Any

import pytest
from pydantic import ValidationError

from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.core.digests import digest
from graftwork.core.errors import SpecError
from graftwork.core.spec import parse, plain
from graftwork.pipeline.spec import RunSpec

RANK = "Directions the update may use: a number, or a plan such as {kind: tiered}. 8 to 64 are usual."
TARGETS = (
    "Layers to adapt: roles (all, attention, attention.qkv, attention.out, mlp, experts) or names (q_proj, *.fc1)."
)
LAYERS = "Depths to adapt: a list of layer numbers (-1 is the top) or {start_frac, end_frac}. Absent: all of them."
STEPS = "Optimizer steps. 100 to 1000 are usual for a few thousand records. Not together with epochs."
RATE = "Adam's step size. 1e-4 to 1e-3 are usual for adapters, ten times that of full tuning."
HELD = "Held-out records: {fraction: 0.1} of the training records, or a file of their own."


def recipe(**more: Any) -> dict[str, Any]:
    return {"name": "a", "base": "b", "data": {"train": "t.jsonl"}, "adapter": {}, **more}


def refused(**more: Any) -> str:
    with pytest.raises(SpecError) as caught:
        parse(RunSpec, recipe(**more))
    return str(caught.value)


def test_an_unknown_key_is_refused_with_the_nearest_name():
    assert refused(trainig={}) == "trainig = {}: expected no such key. Did you mean 'training'?"
    assert refused(adapter={"rnak": 64}) == "adapter.rnak = 64: expected no such key. Did you mean 'rank'?"


def test_an_unknown_key_with_none_near_is_refused_with_all_there_are():
    known = "Known keys: weight_decay, beta1, beta2, eps, b_rate_ratio."
    said = refused(training={"optimizer": {"zzz": 1}})
    assert said == f"training.optimizer.zzz = 1: expected no such key. {known}"


def test_missing_keys_are_all_named():
    with pytest.raises(SpecError) as caught:
        parse(RunSpec, {"adapter": {}})
    bundled = "The frozen model: bundled:smollm2-135m-instruct, a folder, or a Hugging Face id with @revision."
    assert str(caught.value).splitlines() == [
        (
            "name = None: expected a value; it has no default. "
            "Names the run and its folder: letters, digits, dot, dash and underscore."
        ),
        f"base = None: expected a value; it has no default. {bundled}",
        "data = None: expected a value; it has no default. Where records come from.",
    ]


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"steps": "10"}, f"training.steps = '10': expected an integer. {STEPS}"),
        ({"steps": 10.0}, f"training.steps = 10.0: expected an integer. {STEPS}"),
        ({"steps": 10.5}, f"training.steps = 10.5: expected an integer. {STEPS}"),
        ({"steps": True}, f"training.steps = True: expected an integer. {STEPS}"),
        ({"steps": 0}, f"training.steps = 0: expected a value >= 1. {STEPS}"),
        ({"learning_rate": "fast"}, f"training.learning_rate = 'fast': expected a number. {RATE}"),
        ({"learning_rate": True}, f"training.learning_rate = True: expected a number. {RATE}"),
        ({"learning_rate": 0}, f"training.learning_rate = 0: expected a value > 0.0. {RATE}"),
        ({"learning_rate": 1}, f"training.learning_rate = 1: expected a value < 0.1. {RATE}"),
        ({"learning_rate": float("nan")}, f"training.learning_rate = nan: expected a finite number. {RATE}"),
        ({"learning_rate": float("inf")}, f"training.learning_rate = inf: expected a finite number. {RATE}"),
        (
            {"schedule": "cosine"},
            "training.schedule = 'cosine': expected a mapping of keys to values. How the rate moves.",
        ),
        (None, "training = None: expected a mapping of keys to values. How the adapter is trained."),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_range_is_refused(training: Any, said: str):
    assert refused(training=training) == said


def test_one_is_not_true():
    hint = "Recompute activations in the backward pass: less memory, about a third more time."
    said = refused(training={"gradient_checkpointing": 1})
    assert said == f"training.gradient_checkpointing = 1: expected true or false. {hint}"


def test_a_whole_number_too_large_for_a_machine_is_refused_by_its_range():
    said = refused(training={"seed": 10**30})
    assert said.startswith(f"training.seed = {10**30}: expected a value < {2**62}.")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (
            {"kind": "cosin"},
            "training.schedule.kind = 'cosin': expected one of 'constant', 'cosine'. Did you mean 'cosine'?",
        ),
        ({"kind": "zzz"}, "training.schedule.kind = 'zzz': expected one of 'constant', 'cosine'. How the rate moves."),
        ({}, "training.schedule.kind = None: expected a mapping with the key 'kind'. How the rate moves."),
        (
            {"kind": "cosine", "final_frc": 1},
            "training.schedule.final_frc = 1: expected no such key. Did you mean 'final_frac'?",
        ),
        (
            {"kind": "constant", "final_frac": 1},
            "training.schedule.final_frac = 1: expected no such key. Known keys: kind, warmup_frac.",
        ),
        (
            {"kind": "cosine", "final_frac": 2},
            (
                "training.schedule.final_frac = 2: expected a value <= 1.0. "
                "The rate at the end, as a share of the full one. 0 or 0.1 are usual."
            ),
        ),
    ],
)
def test_a_schedule_is_told_apart_by_its_kind_and_read_as_that_kind(schedule: Any, said: str):
    assert refused(training={"schedule": schedule}) == said


@pytest.mark.parametrize(
    ("rank", "said"),
    [
        (0, f"adapter.rank = 0: expected a value >= 1. {RANK}"),
        (4097, f"adapter.rank = 4097: expected a value <= 4096. {RANK}"),
        ("eight", f"adapter.rank = 'eight': expected an integer. {RANK}"),
        (True, f"adapter.rank = True: expected an integer. {RANK}"),
        (8.0, f"adapter.rank = 8.0: expected an integer. {RANK}"),
        (None, f"adapter.rank = None: expected an integer. {RANK}"),
        ({"kind": "uniform"}, "adapter.rank.rank = None: expected a value; it has no default. "),
        ({"kind": "uniform", "rank": 0}, "adapter.rank.rank = 0: expected a value >= 1. "),
        ({"rank": "x"}, "adapter.rank.rank = 'x': expected an integer. "),
        ({"kind": "uniform", "rnk": 8, "rank": 8}, "adapter.rank.rnk = 8: expected no such key. Did you mean 'rank'?"),
        (
            {"kind": "tiered", "top": 0},
            "adapter.rank.top = 0: expected a value >= 1. Rank of the highest layers. 16 is",
        ),
        ({"kind": "tiered", "botom": 3}, "adapter.rank.botom = 3: expected no such key. Did you mean 'bottom'?"),
        (
            {"kind": "tiered", "bottom_frac": 0.7, "top_frac": 0.7},
            "adapter.rank.top_frac = 0.7: expected at most 1 - bottom_frac = 0.3. The tiers would overlap.",
        ),
    ],
)
def test_a_rank_is_a_number_or_a_plan_and_is_read_as_the_one_it_is(rank: Any, said: str):
    assert refused(adapter={"rank": rank}).startswith(said)
    assert len(refused(adapter={"rank": rank}).splitlines()) == 1


def test_an_unknown_rank_plan_is_refused_with_the_nearest():
    said = refused(adapter={"rank": {"kind": "tierd"}})
    assert said.startswith("adapter.rank.kind = 'tierd': expected one of 'uniform', 'tiered', ")
    assert said.endswith(". Did you mean 'tiered'?")


def test_the_name_of_no_plan_is_no_kind_of_plan():
    said = refused(adapter={"rank": {"kind": "an integer"}})
    assert said.startswith("adapter.rank.kind = 'an integer': expected one of 'uniform', 'tiered'")


def test_a_name_that_is_no_folder_name_is_refused_in_our_words():
    said = refused(name="a b")
    assert said.startswith("name = 'a b': expected ")
    assert "String should" not in said


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "-a", "a/b", "a\n", "x" * 101, "é"])
def test_a_name_that_could_leave_its_folder_or_hide_is_refused(name: str):
    assert refused(name=name).startswith(f"name = {name!r}: expected ")


def test_an_unknown_method_and_number_format_are_refused_with_the_nearest():
    said = refused(adapter={"method": "lroa"}, dtype="float23")
    methods = ", ".join(map(repr, [*METHODS, "combined", "full"]))
    assert said.splitlines() == [
        "dtype = 'float23': expected 'bfloat16', 'float16' or 'float32'. Did you mean 'float32'?",
        f"adapter.method = 'lroa': expected one of {methods}. Did you mean 'lora'?",
    ]


def test_a_request_that_names_no_method_is_one_for_lora():
    assert parse(RunSpec, recipe(adapter={"rank": 3})).adapter == parse(LoraSpec, {"rank": 3})


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ({"targets": "all"}, f"adapter.targets = 'all': expected a list. {TARGETS}"),
        ({"layers": 5}, f"adapter.layers = 5: expected a list. {LAYERS}"),
        (
            {"layers": {"start_frac": 1, "end_frac": 0.5}},
            "adapter.layers.start_frac = 1.0: expected less than end_frac = 0.5",
        ),
        ({"targets": ["all", 1]}, f"adapter.targets[1] = 1: expected text. {TARGETS}"),
        ({"layers": [0, 1.5]}, f"adapter.layers[1] = 1.5: expected an integer. {LAYERS}"),
        (
            {"layers": {"start_frac": 2}},
            "adapter.layers.start_frac = 2: expected a value <= 1.0. Where it begins: 0 is the bottom of the stack.",
        ),
    ],
)
def test_layers_that_are_wrongly_asked_for_are_refused(adapter: Any, said: str):
    assert refused(adapter=adapter) == said


def test_a_list_of_one_wrong_entry_is_not_called_empty():
    assert refused(adapter={"targets": [1]}) == f"adapter.targets[0] = 1: expected text. {TARGETS}"


def test_an_unknown_key_in_a_span_of_layers_is_named_where_it_is():
    said = refused(adapter={"layers": {"start": 0.5}})
    assert said == "adapter.layers.start = 0.5: expected no such key. Did you mean 'start_frac'?"


def test_an_unknown_key_in_the_held_out_share_is_named_where_it_is():
    said = refused(data={"train": "t", "evaluation": {"frction": 0.5}})
    assert said == "data.evaluation.frction = 0.5: expected no such key. Did you mean 'fraction'?"


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        (0.1, f"data.evaluation = 0.1: expected text. {HELD}"),
        (None, f"data.evaluation = None: expected text. {HELD}"),
        ("", f"data.evaluation = '': expected text that is not empty. {HELD}"),
        ({"fraction": 1}, "data.evaluation.fraction = 1: expected a value < 1.0. Share of the records held out for"),
        ({"most": 0}, "data.evaluation.most = 0: expected a value >= 1. At most so many records held out. Absent: no"),
    ],
)
def test_held_out_records_are_a_file_or_a_share_and_read_as_the_one_they_are(evaluation: Any, said: str):
    assert refused(data={"train": "t", "evaluation": evaluation}).startswith(said)


def test_an_unknown_layout_is_refused_with_the_rest_of_the_recipe():
    assert "Did you mean 'chat'?" in refused(data={"train": "t", "layout": "chatt"})


def test_steps_and_epochs_together_are_refused_where_they_are():
    said = refused(training={"steps": 10, "epochs": 2})
    assert said == "training.epochs = 2.0: expected steps or epochs, not both. steps is 10; set one of them to null."


def test_several_mistakes_are_reported_together():
    said = refused(nme="x", adapter={"rank": 0, "alhpa": 16}, training={"steps": "x", "schedule": {"kind": "cosin"}})
    assert said.splitlines() == [
        f"adapter.rank = 0: expected a value >= 1. {RANK}",
        "adapter.alhpa = 16: expected no such key. Did you mean 'alpha'?",
        f"training.steps = 'x': expected an integer. {STEPS}",
        "training.schedule.kind = 'cosin': expected one of 'constant', 'cosine'. Did you mean 'cosine'?",
        "nme = 'x': expected no such key. Did you mean 'name'?",
    ]


def test_a_run_spec_is_frozen():
    spec = parse(RunSpec, recipe())
    with pytest.raises(ValidationError, match="frozen"):
        spec.adapter.rank = 8
    with pytest.raises(ValidationError, match="frozen"):
        spec.name = "b"  # type: ignore[misc]


FORMS = [
    {"adapter": {"rank": 8}},
    {"adapter": {"rank": {"rank": 8}}},
    {"adapter": {"rank": {"kind": "tiered"}, "layers": [0, -1]}},
    {"adapter": {"layers": {"end_frac": 0.5}, "targets": ["mlp", "q_proj"]}},
    {"training": {"epochs": 2, "schedule": {"kind": "cosine"}, "max_grad_norm": None, "spectral_cap": 1}},
    {"data": {"train": "t", "evaluation": "e.csv", "layout": "chat", "system": "sé"}},
]


@pytest.mark.parametrize("form", FORMS)
def test_a_resolved_spec_fed_back_is_equal_and_has_the_same_digest(form: dict[str, Any]):
    spec = parse(RunSpec, recipe(**form))
    assert parse(RunSpec, plain(spec)) == spec
    assert digest(parse(RunSpec, plain(spec))) == digest(spec)


def test_different_requests_have_different_digests():
    assert len({digest(parse(RunSpec, recipe(**form))) for form in [{}, *FORMS]}) == len(FORMS) + 1
