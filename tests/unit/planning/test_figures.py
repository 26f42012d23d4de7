"""Bases from their published numbers alone are those that transformers makes of the same config."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Qwen2Config,
)

from graftwork.base.discover import facts_of
from graftwork.planning.figures import facts_of_figures, num_params
from graftwork.planning.known import KNOWN

PUBLISHED = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "deepseek-v3": 671_026_404_352,
}
"""Numbers in the safetensors files of each page, as huggingface.co shows them; of the last one without the layer that
predicts a second token, and without 58 x 256 numbers that shift the choice of experts, which are no parameters."""


def config_of(name):
    known = KNOWN[name]
    common = {
        "hidden_size": known.hidden,
        "intermediate_size": known.inner,
        "num_hidden_layers": known.layers,
        "num_attention_heads": known.heads,
        "num_key_value_heads": known.key_heads,
        "vocab_size": known.vocab,
        "max_position_embeddings": known.context_tokens,
        "tie_word_embeddings": known.tied,
    }
    if name.startswith("llama"):
        return LlamaConfig(**common)
    if name.startswith("mistral"):
        return MistralConfig(**common)
    if name.startswith("qwen"):
        return Qwen2Config(**common)
    if name.startswith("mixtral"):
        return MixtralConfig(**common, num_local_experts=known.num_experts, num_experts_per_tok=known.active_experts)
    return DeepseekV3Config(
        **common,
        moe_intermediate_size=known.expert_inner,
        n_routed_experts=known.num_experts,
        num_experts_per_tok=known.active_experts,
        n_shared_experts=known.shared_experts,
        first_k_dense_replace=known.dense_layers,
        q_lora_rank=known.latent.query,
        kv_lora_rank=known.latent.key_value,
        qk_rope_head_dim=known.latent.rope,
        qk_nope_head_dim=known.latent.plain,
        v_head_dim=known.latent.value,
    )


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_known_base_has_as_many_parameters_as_its_page_says(name):
    assert num_params(KNOWN[name]) == PUBLISHED[name]


def test_gpt3_has_the_175_billion_of_its_table():
    assert round(num_params(KNOWN["gpt3-175b"]) / 1e9) == 175


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_places_are_those_that_transformers_makes(name):
    with torch.device("meta"):
        real = facts_of(AutoModelForCausalLM.from_config(config_of(name)))
    ours = facts_of_figures(KNOWN[name])
    wide = lambda p: (p.role, p.in_features, p.out_features, p.layer)  # noqa: E731
    assert ours.num_params == real.num_params
    assert sorted(map(wide, ours.places), key=str) == sorted(
        (wide(p) for p in real.places if p.role != "router"), key=str
    )
    assert {(*wide(p), p.num_experts) for p in ours.experts} == {(*wide(p), p.num_experts) for p in real.experts}
    assert ours.num_active_experts == real.num_active_experts
    assert [(p.key_heads, p.head_dim) for p in ours.attentions] == [(p.key_heads, p.head_dim) for p in real.attentions]


def test_a_base_with_learned_positions_and_biases_counts_like_gpt2():
    from graftwork.planning.figures import Figures

    small = Figures(
        hidden=768, layers=12, heads=12, key_heads=12, inner=3072, vocab=50257, context_tokens=1024,
        tied=True, gated=False, all_biases=True, positions=1024, source="",
    )  # fmt: skip
    with torch.device("meta"):
        real = AutoModelForCausalLM.from_config(GPT2Config())
    assert num_params(small) == sum(p.numel() for p in real.parameters())
