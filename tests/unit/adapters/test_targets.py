"""Targets by role, by name and by depth; what matches nothing is refused with what there is."""

import pytest

from graftwork.adapters.asked import places_of
from graftwork.adapters.method import METHODS
from graftwork.adapters.targets import select
from graftwork.base.load import facts_from_config
from graftwork.core.errors import SpecError

LLAMA = {
    "all": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "attention": {"q_proj", "k_proj", "v_proj", "o_proj"},
    "attention.qkv": {"q_proj", "k_proj", "v_proj"},
    "attention.q": {"q_proj"},
    "attention.out": {"o_proj"},
    "mlp": {"gate_proj", "up_proj", "down_proj"},
    "mlp.down": {"down_proj"},
}
BY_FAMILY = {
    **dict.fromkeys(["llama", "qwen2", "gemma3"], LLAMA),
    "gpt2": {
        "all": {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
        "attention": {"attn.c_attn", "attn.c_proj"},
        "attention.qkv": {"attn.c_attn"},
        "attention.out": {"attn.c_proj"},
        "mlp": {"mlp.c_fc", "mlp.c_proj"},
        "mlp.down": {"mlp.c_proj"},
        "c_proj": {"attn.c_proj", "mlp.c_proj"},
        "mlp.c_proj": {"mlp.c_proj"},
        "*.mlp.*": {"mlp.c_fc", "mlp.c_proj"},
    },
    "neox": {
        "all": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
        "attention": {"query_key_value", "dense"},
        "attention.qkv": {"query_key_value"},
        "mlp.up": {"dense_h_to_4h"},
        "dense": {"dense"},
        "*.dense_*": {"dense_h_to_4h", "dense_4h_to_h"},
    },
}
CASES = [(family, target, ends) for family, asked in BY_FAMILY.items() for target, ends in asked.items()]


@pytest.fixture(scope="session")
def facts(folder_of):
    return lambda family="llama": facts_from_config(folder_of(family))


@pytest.mark.parametrize(("family", "target", "ends"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_role_or_pattern_means_these_layers(facts, lora, family, target, ends):
    found = [place.name for place in select(lora(targets=[target]), METHODS["lora"], facts(family))]
    expected = {p.name for p in facts(family).places for end in ends if p.name.endswith(f".{end}")}
    assert set(found) == expected
    assert len(found) == 3 * len(ends)


def test_places_come_in_the_order_of_the_base_whatever_the_order_asked(facts, lora):
    found = select(lora(targets=["down_proj", "q_proj", "q_proj"]), METHODS["lora"], facts())
    in_order = [p for p in facts().places if p.name.endswith(("q_proj", "down_proj"))]
    assert list(found) == in_order


def test_one_layer_by_its_whole_name(facts, lora):
    (found,) = select(lora(targets=["model.layers.2.mlp.up_proj"]), METHODS["lora"], facts())
    assert (found.layer, found.role, found.in_features, found.out_features) == (2, "mlp.up", 32, 48)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, {0, 1, 2}),
        ([0], {0}),
        ([-1], {2}),
        ([0, -1], {0, 2}),
        ([-3, 0], {0}),
        ({"start_frac": 0.5}, {2}),
        ({"end_frac": 0.5}, {0, 1}),
        ({"start_frac": 1 / 3, "end_frac": 2 / 3}, {1}),
        ({}, {0, 1, 2}),
    ],
    ids=str,
)
def test_depths_are_a_list_or_a_share_of_the_stack(facts, lora, layers, expected):
    assert {place.layer for place in select(lora(layers=layers), METHODS["lora"], facts())} == expected


def refusal(asked, facts):
    with pytest.raises(SpecError) as raised:
        select(asked, METHODS["lora"], facts)
    return str(raised.value)


def test_a_misspelt_name_is_refused_with_the_nearest(facts, lora):
    assert refusal(lora(targets=["q_prj"]), facts()) == (
        "adapter.targets = 'q_prj': expected a role or name that matches a linear layer of this base. "
        "Did you mean 'q_proj' or 'v_proj'? "
        "Roles here: attention.k, attention.out, attention.q, attention.v, mlp.down, mlp.gate, mlp.up. "
        "Names here: down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj."
    )


def test_a_misspelt_role_is_refused_with_the_nearest(facts, lora):
    assert "Did you mean 'attention'" in refusal(lora(targets=["atention"]), facts())


def test_a_name_like_none_is_refused_with_what_there_is(facts, lora):
    said = refusal(lora(targets=["zzz"]), facts("neox"))
    assert "Did you mean" not in said
    assert "Roles here: attention.out, attention.qkv, mlp.down, mlp.up." in said


@pytest.mark.parametrize("target", ["lm_head", "head", "*"])
def test_the_head_cannot_be_adapted(facts, lora, target):
    assert refusal(lora(targets=[target]), facts()) == (
        f"adapter.targets = {target!r}: expected layers that can be adapted; this matches the base's head"
    )


def test_a_role_this_base_has_not_is_refused(facts, lora):
    assert refusal(lora(targets=["mlp.gate_up"]), facts()).startswith("adapter.targets = 'mlp.gate_up': expected")


@pytest.mark.parametrize("layer", [3, -4, 99])
def test_a_layer_the_base_has_not_is_refused(facts, lora, layer):
    assert refusal(lora(layers=[layer]), facts()) == (
        f"adapter.layers = {layer}: expected a layer of this base, 0 to 2"
    )


def test_a_share_that_holds_no_layer_is_refused(facts, lora):
    said = refusal(lora(layers={"start_frac": 0.99}), facts())
    assert said == "adapter.layers = {'start_frac': 0.99, 'end_frac': 1.0}: expected layers that hold a target"


def test_all_that_is_wrong_is_said_at_once(facts, lora):
    said = refusal(lora(targets=["q_prj", "q_proj", "lm_head"], layers=[1, 7]), facts())
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "adapter.targets = 'q_prj'",
        "adapter.targets = 'lm_head'",
        "adapter.layers = 7",
    ]


def test_an_empty_share_is_refused(lora):
    with pytest.raises(SpecError) as raised:
        lora(layers={"start_frac": 0.5, "end_frac": 0.5})
    assert str(raised.value) == "layers.start_frac = 0.5: expected less than end_frac = 0.5"


@pytest.mark.parametrize("asked", [{"targets": []}, {"layers": []}, {"layers": "all"}, {"targets": "all"}], ids=str)
def test_a_selection_of_the_wrong_form_is_refused_by_name(lora, asked):
    with pytest.raises(SpecError) as raised:
        lora(**asked)
    assert {problem.path for problem in raised.value.problems} == set(asked)


def test_the_selection_is_left_behind_when_a_spec_is_resolved(facts, lora):
    found = places_of(lora(targets=["q_proj"], layers=[0], alpha=3.0), facts())
    (spec,) = [here.spec for here in found.values()]
    assert (spec.targets, spec.layers, spec.resolved_rank, spec.alpha) == (("all",), None, 4, 3.0)
