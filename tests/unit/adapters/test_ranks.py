"""A rank plan becomes one whole number a place."""

import pytest

from graftwork.adapters.asked import places_of
from graftwork.adapters.ranks import Tiered, Uniform, rank_at
from graftwork.base.facts import BaseFacts, LinearPlace
from graftwork.core.errors import SpecError


def place(layer, role="mlp.up"):
    return LinearPlace(name=f"{layer}", role=role, in_features=1, out_features=1, layer=layer)


def facts_of(num_layers, num_active_experts=1):
    sizes = {"hidden_size": 1, "vocab_size": 1, "context_tokens": None, "num_params": 0}
    told = {"num_layers": num_layers, "num_active_experts": num_active_experts, **sizes}
    return BaseFacts(architecture="", places=(), **told)


def ranks(plan, num_layers):
    return [rank_at(plan, place(layer), facts_of(num_layers)) for layer in range(num_layers)]


@pytest.mark.parametrize("num_layers", [3, 6, 30])
def test_thirds_are_thirds(num_layers):
    third = num_layers // 3
    assert ranks(Tiered(), num_layers) == [4] * third + [8] * third + [16] * third


@pytest.mark.parametrize(
    ("fractions", "num_layers", "expected"),
    [
        ({"bottom_frac": 0.5, "top_frac": 0.5}, 4, [1, 1, 3, 3]),
        ({"bottom_frac": 0.0, "top_frac": 0.0}, 3, [2, 2, 2]),
        ({"bottom_frac": 1.0, "top_frac": 0.0}, 3, [1, 1, 1]),
        ({"bottom_frac": 0.0, "top_frac": 1.0}, 3, [3, 3, 3]),
        ({"bottom_frac": 0.25, "top_frac": 0.5}, 8, [1, 1, 2, 2, 3, 3, 3, 3]),
        ({}, 4, [1, 2, 2, 3]),
        ({}, 2, [1, 3]),
        ({}, 1, [2]),
    ],
)
def test_fractions_say_where_tiers_end(fractions, num_layers, expected):
    assert ranks(Tiered(bottom=1, middle=2, top=3, **fractions), num_layers) == expected


def test_two_tiers_that_fill_the_stack_leave_no_middle():
    plan = Tiered(bottom=1, middle=2, top=3, bottom_frac=0.5, top_frac=0.5)
    assert [2 in ranks(plan, num_layers) for num_layers in range(1, 9)] == [False] * 8


@pytest.mark.parametrize("num_layers", range(1, 40))
def test_ranks_never_fall_with_depth_when_tiers_rise(num_layers):
    found = ranks(Tiered(), num_layers)
    assert found == sorted(found)


def test_a_number_and_a_uniform_plan_hold_everywhere():
    assert ranks(7, 3) == ranks(Uniform(rank=7), 3) == [7, 7, 7]


def test_outside_the_stack_the_top_tier_holds():
    assert rank_at(Tiered(top=5), place(None), facts_of(3)) == 5


@pytest.mark.parametrize(("rank", "active", "each"), [(32, 8, 4), (33, 8, 4), (4, 8, 1), (16, 1, 16)])
def test_experts_that_answer_together_share_the_rank(rank, active, each):
    assert rank_at(rank, place(0, "experts.up"), facts_of(3, active)) == each
    assert rank_at(rank, place(0, "mlp.up"), facts_of(3, active)) == rank


def test_tiers_that_overlap_are_refused(lora):
    with pytest.raises(SpecError) as raised:
        lora(rank={"kind": "tiered", "bottom_frac": 0.6, "top_frac": 0.5})
    assert str(raised.value) == "rank.top_frac = 0.5: expected at most 1 - bottom_frac = 0.4. The tiers would overlap."


@pytest.mark.parametrize("rank", [0, -1, 4097, 1.5, "8", None, {"kind": "uniform", "rank": 0}, {"kind": "tierd"}])
def test_a_rank_that_makes_no_sense_is_refused_by_name(lora, rank):
    with pytest.raises(SpecError) as raised:
        lora(rank=rank)
    assert {problem.path.partition(".")[0] for problem in raised.value.problems} == {"rank"}


def test_a_tiered_adapter_has_its_ranks_at_every_place(load, lora):
    facts = load("gpt2").facts
    found = places_of(lora(rank={"kind": "tiered", "bottom": 2, "middle": 3, "top": 5}), facts)
    assert {here.place.layer: here.spec.resolved_rank for here in found.values()} == {0: 2, 1: 3, 2: 5}
    assert len(found) == 12
