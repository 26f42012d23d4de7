"""A rank plan becomes one whole number a place."""

import pytest

from graftwork.adapters.asked import places_of
from graftwork.adapters.ranks import ByModelSize, Capacity, Tiered, Uniform, capacity_rank, rank_at, settled
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.facts import BaseFacts, ExpertsPlace, LinearPlace
from graftwork.core.errors import SpecError
from graftwork.core.spec import plain


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


def ranks_in(spec, facts):
    return {key: here.spec.resolved_rank for key, here in places_of(spec, facts).items()}


@pytest.fixture
def facts(load):
    return load().facts


def refused(spec, facts):
    with pytest.raises(SpecError) as raised:
        places_of(spec, facts)
    return str(raised.value).splitlines()


def test_each_role_has_its_rank_and_the_narrowest_role_holds(facts, lora):
    plan = {"kind": "by_role", "ranks": {"attention": 16, "attention.kv": 3, "attention.k": 5, "mlp": 8, "mlp.down": 2}}
    found = ranks_in(lora(rank=plan), facts)
    leaves = {name.rpartition(".")[2]: rank for name, rank in found.items()}
    assert leaves == {
        "q_proj": 16,
        "k_proj": 5,
        "v_proj": 3,
        "o_proj": 16,
        "gate_proj": 8,
        "up_proj": 8,
        "down_proj": 2,
    }
    assert len(found) == 21


def test_a_role_of_its_own_name_holds_over_a_group(facts, lora):
    plan = {"kind": "by_role", "ranks": {"attention.qkv": 4, "attention.q": 7}, "default": 1}
    found = ranks_in(lora(rank=plan), facts)
    assert {rank for name, rank in found.items() if "q_proj" in name} == {7}
    assert {rank for name, rank in found.items() if "k_proj" in name or "v_proj" in name} == {4}
    assert {rank for name, rank in found.items() if "mlp" in name or "o_proj" in name} == {1}


def test_a_role_that_nothing_has_and_a_layer_without_a_rank_are_refused_together(facts, lora):
    plan = {"kind": "by_role", "ranks": {"atention": 4, "mlp": 8}}
    roles = ("attention.q", "mlp.gate", "mlp.up", "mlp.down")
    hint = f"Did you mean 'attention'? Roles adapted here: {', '.join(roles)}."
    assert refused(lora(rank=plan, targets=["attention.q", "mlp"]), facts) == [
        f"adapter.rank.ranks.atention = 4: expected a role that means a layer that is adapted. {hint}",
        "adapter.rank.default = None: expected a rank; attention.q would have none. Give a default, or name them.",
    ]


def test_a_near_role_is_offered(facts, lora):
    (said,) = refused(lora(rank={"kind": "by_role", "ranks": {"mlp.dwn": 4}, "default": 1}), facts)
    assert "Did you mean 'mlp.down'? Roles adapted here: " in said


def test_each_layer_has_the_rank_of_the_longest_name_that_means_it(facts, lora):
    whole = "model.layers.1.self_attn.q_proj"
    plan = {"kind": "explicit", "ranks": {"q_proj": 5, "model.layers.1.*": 7, whole: 9, "layers.2.mlp.up_proj": 11}}
    found = ranks_in(lora(rank={**plan, "default": 2}), facts)
    expected = {
        name: 9
        if name == whole
        else 7
        if ".1." in name
        else 5
        if "q_proj" in name
        else 11
        if name == "model.layers.2.mlp.up_proj"
        else 2
        for name in found
    }
    assert found == expected


def test_the_order_in_which_names_are_written_does_not_matter(facts, lora):
    ranks = {"*.q_proj": 5, "*proj": 7, "*.0.*": 9}
    one, other = (
        ranks_in(lora(rank={"kind": "explicit", "ranks": dict(told)}), facts)
        for told in (ranks.items(), reversed(ranks.items()))
    )
    assert one == other


def test_a_name_that_nothing_has_is_refused_with_the_nearest(facts, lora):
    plan = {"kind": "explicit", "ranks": {"q_porj": 4, "model.layers.7.self_attn.q_proj": 5}, "default": 3}
    first, second = refused(lora(rank=plan, targets=["attention"]), facts)
    assert first == (
        "adapter.rank.ranks.q_porj = 4: expected a name or pattern that means a layer that is adapted. "
        "Did you mean 'q_proj'? Names adapted here: q_proj, k_proj, v_proj, o_proj."
    )
    assert "Did you mean 'model.layers." in second


def test_layers_without_a_rank_are_named(facts, lora):
    (said,) = refused(lora(rank={"kind": "explicit", "ranks": {"q_proj": 4}}), facts)
    assert said == (
        "adapter.rank.default = None: expected a rank; model.layers.0.self_attn.k_proj, "
        "model.layers.0.self_attn.v_proj, model.layers.0.self_attn.o_proj and 15 more would have none. "
        "Give a default, or name them."
    )


@pytest.mark.parametrize(
    ("num_params", "rank"),
    [(0, 16), (135_000_000, 16), (5_999_999_999, 16), (6_000_000_000, 32), (13_000_000_000, 32), (65_000_000_000, 64)],
)
def test_larger_bases_get_more(num_params, rank):
    told = {"hidden_size": 1, "vocab_size": 1, "context_tokens": None, "num_layers": 1, "places": ()}
    facts = BaseFacts(architecture="", num_params=num_params, **told)
    assert rank_at(ByModelSize(), place(0), facts) == rank


def test_steps_by_size_that_fall_are_refused(lora):
    with pytest.raises(SpecError) as raised:
        lora(rank={"kind": "by_model_size", "middle_from_params": 10, "large_from_params": 9})
    assert str(raised.value) == "rank.large_from_params = 9: expected at least middle_from_params = 10"


@pytest.mark.parametrize("bits", [1, 5_000, 40_000.5, 1_000_000])
def test_capacity_is_the_least_rank_that_holds_the_bits(facts, lora, bits):
    spec = lora(rank={"kind": "capacity", "bits": bits})
    (rank,) = set(ranks_in(spec, facts).values())
    a_rank = sum(p.in_features + p.out_features for p in facts.places if p.role != "head")
    assert (rank - 1) * a_rank < bits / 2 <= rank * a_rank


def test_headroom_multiplies_the_bits(facts, lora):
    twice, double = (
        ranks_in(lora(rank={"kind": "capacity", **told}), facts)
        for told in ({"bits": 30_000, "headroom": 2.0}, {"bits": 60_000})
    )
    assert twice == double


def test_capacity_counts_every_expert_and_their_shared_rank():
    sizes = {"in_features": 10, "out_features": 6}
    names = {"name": "e.up", "role": "experts.up", "module": "e", "parameter": "up"}
    experts = ExpertsPlace(**names, num_experts=8, transposed=False, layer=0, **sizes)
    shared = facts_of(1, num_active_experts=2)
    rank = capacity_rank(2 * 8 * 16 * 5, [experts], shared)
    assert rank == 10
    assert rank_at(rank, experts, shared) == 5
    assert capacity_rank(1, [experts], shared) == 1


def test_more_than_any_rank_holds_is_refused(facts, lora):
    (said,) = refused(lora(rank={"kind": "capacity", "bits": 1e12}), facts)
    assert said.startswith("adapter.rank.bits = 1000000000000.0: expected at most 1.")
    assert "That many would need 500000000000 trained numbers. Adapt more layers, or lower headroom." in said


def test_fewer_places_need_more_rank_for_the_same_bits(facts, lora):
    plan = {"kind": "capacity", "bits": 20_000}
    few, many = (max(ranks_in(lora(rank=plan, targets=t), facts).values()) for t in (["attention.q"], ["all"]))
    assert few > many


def test_a_settled_plan_needs_no_other_place():
    plan = settled(Capacity(bits=100.0), [place(0), place(1)], facts_of(2))
    assert plan == 13  # of which two places of two sides hold 52 numbers
    assert settled(Tiered(), [place(0)], facts_of(1)) == Tiered()


@pytest.mark.parametrize(
    "plan",
    [
        {"kind": "by_role", "ranks": {"experts": 8, "attention": 4}},
        {"kind": "explicit", "ranks": {"*experts*": 8, "*attn*": 4}},
        {"kind": "by_model_size", "small": 8, "middle": 8, "large": 8},
    ],
)
def test_every_plan_is_divided_among_the_experts_that_answer_together(plan, load, lora):
    facts = load("mixtral").facts
    found = ranks_in(lora(rank=plan, targets=["attention", "experts"]), facts)
    assert {rank for name, rank in found.items() if "experts" in name} == {4}


@pytest.mark.parametrize(
    ("plan", "path"),
    [
        ({"kind": "by_role"}, "rank.ranks"),
        ({"kind": "by_role", "ranks": {}}, "rank.ranks"),
        ({"kind": "by_role", "ranks": {"mlp": 0}}, "rank.ranks.mlp"),
        ({"kind": "explicit", "ranks": {"q_proj": "4"}}, "rank.ranks.q_proj"),
        ({"kind": "explicit", "ranks": [4]}, "rank.ranks"),
        ({"kind": "explicit", "ranks": {"q_proj": 4}, "default": 0}, "rank.default"),
        ({"kind": "by_model_size", "small": 0}, "rank.small"),
        ({"kind": "capacity"}, "rank.bits"),
        ({"kind": "capacity", "bits": -1}, "rank.bits"),
        ({"kind": "capacity", "bits": 1, "headroom": 0.5}, "rank.headroom"),
        ({"kind": "by_rol"}, "rank.kind"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_at_its_place(plan, path, lora):
    with pytest.raises(SpecError) as raised:
        lora(rank=plan)
    assert [problem.path for problem in raised.value.problems] == [path]


@pytest.mark.parametrize("method", ["lora", "adalora", "dynamic_lora"])
def test_every_plan_comes_back_from_plain_data(method):
    for plan in (
        {"kind": "by_role", "ranks": {"attention": 4, "mlp": 2}, "default": None},
        {"kind": "explicit", "ranks": {"*": 4}, "default": 2},
        {"kind": "capacity", "bits": 5.0, "headroom": 1.0},
    ):
        spec = parse_adapter_spec({"method": method, "rank": plan})
        assert plain(spec)["rank"] == plan
        assert parse_adapter_spec(plain(spec)) == spec
