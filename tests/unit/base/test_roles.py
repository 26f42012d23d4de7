"""One vocabulary of roles over the families of `transformers`."""

import pytest

from graftwork.base.facts import layer_of
from graftwork.base.roles import ALIASES, has_role, role_of

LAYER = "model.layers.3."


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (f"{LAYER}self_attn.q_proj", "attention.q"),
        (f"{LAYER}self_attn.qkv_proj", "attention.qkv"),
        (f"{LAYER}self_attn.o_proj", "attention.out"),
        (f"{LAYER}self_attn.out_proj", "attention.out"),
        (f"{LAYER}self_attn.kv_a_proj_with_mqa", "attention.k"),
        (f"{LAYER}self_attn.dense", "attention.out"),
        (f"{LAYER}mlp.gate_up_proj", "mlp.gate_up"),
        (f"{LAYER}mlp.gate_proj", "mlp.gate"),
        (f"{LAYER}mlp.gate", "router"),
        (f"{LAYER}block_sparse_moe.gate", "router"),
        (f"{LAYER}mlp.experts.2.down_proj", "experts.down"),
        (f"{LAYER}block_sparse_moe.experts.7.w3", "experts.up"),
        (f"{LAYER}mlp.experts.2.unheard_of", "experts.other"),
        (f"{LAYER}mlp.shared_expert.up_proj", "mlp.up"),
        ("transformer.h.0.attn.c_proj", "attention.out"),
        ("transformer.h.0.mlp.c_proj", "mlp.down"),
        ("transformer.h.0.attn.c_attn", "attention.qkv"),
        ("gpt_neox.layers.0.attention.dense", "attention.out"),
        ("gpt_neox.layers.0.mlp.dense_4h_to_h", "mlp.down"),
        ("bert.encoder.layer.0.attention.output.dense", "attention.out"),
        ("bert.encoder.layer.0.output.dense", "mlp.down"),
        ("bert.encoder.layer.0.intermediate.dense", "mlp.up"),
        ("transformer.h.1.self_attention.query_key_value", "attention.qkv"),
        ("transformer.h.1.self_attention.dense", "attention.out"),
        ("encoder.block.0.layer.0.SelfAttention.o", "attention.out"),
        ("decoder.block.0.layer.1.EncDecAttention.o", "attention.out"),
        ("encoder.block.0.layer.1.DenseReluDense.wo", "mlp.down"),
        ("encoder.block.1.layer.1.mlp.experts.expert_2.wi", "experts.up"),
        ("encoder.block.1.layer.1.mlp.experts.expert_2.wo", "experts.down"),
        ("encoder.layer.1.experts.3.output.dense", "experts.down"),
        ("lm_head", "head"),
        ("embed_out", "head"),
        ("model.norm_of_sorts", "other"),
    ],
)
def test_a_name_says_its_role(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize("wanted", [*ALIASES, "attention.q", "mlp.up"])
@pytest.mark.parametrize("role", ["head", "router", "other"])
def test_what_is_no_attention_and_no_mlp_is_never_meant_by_a_group(role, wanted):
    assert not has_role(role, wanted)


def test_groups_hold_their_members():
    assert all(has_role(f"attention.{end}", "attention.qkv") for end in ("q", "k", "v", "qkv"))
    assert not has_role("attention.out", "attention.qkv")
    assert not has_role("mlp.up", "attention")
    assert has_role("experts.up", "all")
    assert not has_role("experts.up", "mlp")


@pytest.mark.parametrize(
    ("name", "layer"),
    [("model.layers.12.mlp.up_proj", 12), ("transformer.h.0.mlp.c_fc", 0), ("layers.1.experts.5.w1", 1)],
)
def test_the_first_number_between_dots_is_the_layer(name, layer):
    assert layer_of(name) == layer


@pytest.mark.parametrize("name", ["lm_head", "w1.x2", "model.fc1"])
def test_a_number_in_a_word_is_no_layer(name):
    assert layer_of(name) is None
