"""Fused experts are found, chosen by the same targets as layers, and never passed over in silence."""

import pytest
import torch
from tests.support.tiny_base import WITH_EXPERTS, byte_tokenizer, config_of, make_base
from transformers import AutoModelForCausalLM, DeepseekV3Config, Gemma4TextConfig, Qwen2MoeConfig

from graftwork.adapters.asked import places_of
from graftwork.adapters.method import METHODS
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.discover import facts_of
from graftwork.base.load import facts_from_config
from graftwork.core.errors import SpecError

WITHOUT = [name for name in METHODS if METHODS[name].site == "linear" and METHODS[name].experts is None]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return facts_from_config(make_base(tmp_path_factory.mktemp("moe") / "mixtral", "mixtral"))


def model_of(family):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config_of(family, byte_tokenizer()))


def asked(facts, method="lora", **request):
    return places_of(parse_adapter_spec({"method": method, **request}), facts)


@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_shapes_are_told_as_those_of_linear_layers_whichever_way_they_are_stored(family):
    model = model_of(family)
    facts = facts_of(model)
    inner = getattr(model.config, "moe_intermediate_size", model.config.intermediate_size)
    shapes = {(p.role, p.num_experts, p.in_features, p.out_features) for p in facts.experts}
    assert shapes == {("experts.gate_up", 4, 32, 2 * inner), ("experts.down", 4, inner, 32)}
    assert {p.transposed for p in facts.experts} == {family == "gpt_oss"}
    assert facts.num_active_experts == 2


@pytest.mark.parametrize(
    ("target", "roles"),
    [
        ("all", {"attention.q", "attention.k", "attention.v", "attention.out", "experts.gate_up", "experts.down"}),
        ("experts", {"experts.gate_up", "experts.down"}),
        ("experts.down", {"experts.down"}),
        ("*.experts.gate_up_proj", {"experts.gate_up"}),
        ("down_proj", {"experts.down"}),
        ("attention", {"attention.q", "attention.k", "attention.v", "attention.out"}),
    ],
)
def test_they_are_chosen_by_role_and_by_name(facts, target, roles):
    assert {here.place.role for here in asked(facts, targets=[target]).values()} == roles


def test_they_are_chosen_by_depth(facts):
    found = asked(facts, targets=["experts"], layers=[-1])
    assert list(found) == ["model.layers.2.mlp.experts.gate_up_proj", "model.layers.2.mlp.experts.down_proj"]


@pytest.mark.parametrize(("rank", "at_experts"), [(16, 8), (5, 2), (1, 1)])
def test_the_rank_is_shared_by_the_experts_that_answer_for_one_token(facts, rank, at_experts):
    found = asked(facts, rank=rank)
    assert {here.spec.rank for here in found.values() if here.method.site == "experts"} == {at_experts}
    assert {here.spec.rank for here in found.values() if here.method.site == "linear"} == {rank}


def test_a_misspelt_target_is_told_what_there_is(facts):
    with pytest.raises(SpecError, match=r"Did you mean 'experts\.down'.*Names here: down_proj, gate_up_proj, k_proj"):
        asked(facts, targets=["expert.down"])


@pytest.mark.parametrize("target", ["all", "experts"])
@pytest.mark.parametrize("method", WITHOUT)
def test_a_method_that_does_not_reach_them_is_refused(facts, method, target):
    with pytest.raises(SpecError, match=f"keeps its experts in fused tensors .*, which {method} does not reach"):
        asked(facts, method, targets=[target])


@pytest.mark.parametrize("change", ["eight_bits", "spread_over_devices"])
def test_experts_in_a_form_we_cannot_compute_are_refused(change):
    model = model_of("mixtral")
    for layer in model.model.layers:
        experts = layer.mlp.experts
        if change == "eight_bits":
            small = torch.empty_like(experts.down_proj, dtype=torch.float8_e4m3fn)
            experts.down_proj = torch.nn.Parameter(small, requires_grad=False)
        else:
            experts._is_expert_parallel = True
    facts = facts_of(model)
    assert facts.experts == ()
    with pytest.raises(SpecError, match="keeps its experts in fused tensors"):
        asked(facts)


def test_the_shared_expert_is_a_part_of_the_sub_layer_and_none_of_its_own():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    experts = {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "vocab_size": 64}
    heads = {"qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "q_lora_rank": 8, "kv_lora_rank": 8}
    routed = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "vocab_size": 64}
    for config in (
        Qwen2MoeConfig(**sizes, **experts),
        DeepseekV3Config(**sizes, **heads, **routed, num_key_value_heads=4, moe_intermediate_size=24),
    ):
        with torch.device("meta"):
            blocks = facts_of(AutoModelForCausalLM.from_config(config)).blocks
        mlps = [(block.name, block.exit) for block in blocks if block.role == "mlp"]
        assert [name for name, _ in mlps] == ["model.layers.0.mlp", "model.layers.1.mlp"]
        assert mlps[1][1] == "model.layers.1.mlp"


def test_experts_beside_an_mlp_make_no_sub_layer_of_the_whole_layer():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    experts = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 24}
    config = Gemma4TextConfig(
        **sizes, **experts, vocab_size=64, vocab_size_per_layer_input=64, layer_types=["full_attention"]
    )
    with torch.device("meta"):
        facts = facts_of(AutoModelForCausalLM.from_config(config))
    assert [place.module for place in facts.experts] == ["model.layers.0.experts"] * 2
    assert [block.name for block in facts.blocks] == ["model.layers.0.self_attn", "model.layers.0.mlp"]
