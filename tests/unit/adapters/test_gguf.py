"""GGUF files of a LoRA, read back by the package gguf and put together again."""

import gguf
import numpy as np
import pytest
import torch
from tests.support.methods import lively, request
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from graftwork.adapters.arithmetic import added, updates_of
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.gguf import FAMILIES, gguf_lora, write_gguf
from graftwork.core.errors import SpecError

THEIRS = {
    "llama": {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
              "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"},
    "gpt2": {"attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"},
    "neox": {"query_key_value": "attn_qkv", "attention.dense": "attn_output", "dense_h_to_4h": "ffn_up",
             "dense_4h_to_h": "ffn_down"},
}  # fmt: skip
THEIRS["qwen2"] = THEIRS["gemma3"] = THEIRS["llama"]
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "gemma3": "gemma3", "gpt2": "gpt2", "neox": "gptneox"}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
"""Files are in float32."""


def written(tmp_path, adapter, facts):
    write_gguf(tmp_path / "a.gguf", gguf_lora(adapter, facts), "refund-desk")
    return gguf.GGUFReader(tmp_path / "a.gguf")


def products(reader):
    """alpha / rank B A of each layer, by its name in the file, as llama.cpp adds it to its weight."""
    alpha = float(reader.fields["adapter.lora.alpha"].parts[-1][0])
    # a reader gives the dimensions in ggml's order, and the data in numpy's
    tensors = {t.name: torch.from_numpy(np.array(t.data)).double() for t in reader.tensors}
    names = {name.rpartition(".")[0] for name in tensors}
    return {
        name: alpha / len(tensors[f"{name}.lora_a"]) * tensors[f"{name}.lora_b"] @ tensors[f"{name}.lora_a"]
        for name in names
    }


def rows_there(weight_OI, family, name, head_dim=8):
    """A weight as llama.cpp's converter of base models orders its rows, head by head and row by row."""
    order = list(range(len(weight_OI)))
    if family == "llama" and name in ("attn_q", "attn_k"):
        half = head_dim // 2
        order = [
            head * head_dim + part * half + pair
            for head in range(len(weight_OI) // head_dim)
            for pair in range(half)
            for part in range(2)
        ]
    if family == "neox" and name == "attn_qkv":
        heads = len(weight_OI) // 3 // head_dim
        order = [
            (head * 3 + part) * head_dim + row for part in range(3) for head in range(heads) for row in range(head_dim)
        ]
    return weight_OI[order]


@pytest.mark.parametrize("family", THEIRS)
def test_the_file_holds_the_update_of_each_layer_under_their_name_and_in_their_order(tmp_path, load, family):
    bank = AdapterBank(load(family))
    adapter = bank[lively(bank, request("lora", alpha=6.0, targets=["all"]))]
    found = products(written(tmp_path, adapter, bank.base.facts))
    expected = {}
    for place, one in updates_of(adapter).items():
        (name,) = (theirs for ours, theirs in THEIRS[family].items() if place.endswith(f".{ours}"))
        expected[f"blk.{one.place.layer}.{name}.weight"] = rows_there(one.up_OR @ one.down_RI, family, name)
    assert found.keys() == expected.keys()
    for name, update in expected.items():
        torch.testing.assert_close(found[name], update, **CLOSE)


def test_the_reader_of_transformers_puts_the_rows_of_a_llama_back(tmp_path, load):
    bank = AdapterBank(load("llama"))
    adapter, config = bank[lively(bank, request("lora", targets=["attention"]))], bank.base.model.config.to_dict()
    back = LlamaTensorProcessor(config=config)
    updates = updates_of(adapter)
    for name, found in products(written(tmp_path, adapter, bank.base.facts)).items():
        ours = {theirs: key for key, theirs in THEIRS["llama"].items()}[name.split(".")[2]]
        place = f"model.layers.{name.split('.')[1]}.self_attn.{ours}"
        weight = torch.from_numpy(back.process(found.numpy(), name=name).weights)
        torch.testing.assert_close(weight, updates[place].up_OR @ updates[place].down_RI, **CLOSE)


def test_the_rows_of_queries_and_keys_are_really_moved(tmp_path, load):
    bank = AdapterBank(load("llama"))
    adapter = bank[lively(bank, request("lora", targets=["q_proj"], layers=[0]))]
    (found,) = products(written(tmp_path, adapter, bank.base.facts)).values()
    (one,) = updates_of(adapter).values()
    assert (found - one.up_OR @ one.down_RI).abs().max() > 0.1


def test_permuted_rows_give_the_attention_of_the_base(load):
    """Scores of queries and keys are the same when pairs lie side by side and are rotated so."""
    draw = torch.Generator().manual_seed(0)
    q, k = (torch.randn(8, generator=draw, dtype=torch.float64) for _ in range(2))
    angles = torch.rand(4, generator=draw, dtype=torch.float64)

    def by_halves(x, by):
        a, b = x[:4], x[4:]
        return torch.cat([a * by.cos() - b * by.sin(), b * by.cos() + a * by.sin()])

    def by_pairs(x, by):
        a, b = x[0::2], x[1::2]
        return torch.stack([a * by.cos() - b * by.sin(), b * by.cos() + a * by.sin()], 1).flatten()

    moved = [rows_there(x[:, None], "llama", "attn_q")[:, 0] for x in (q, k)]
    ours = by_halves(q, angles) @ by_halves(k, 2 * angles)
    torch.testing.assert_close(by_pairs(moved[0], angles) @ by_pairs(moved[1], 2 * angles), ours)


def test_what_the_file_says_of_itself(tmp_path, load):
    bank = AdapterBank(load("llama"))
    reader = written(tmp_path, bank[lively(bank, request("lora"))], bank.base.facts)
    told = {key: field.contents() for key, field in reader.fields.items()}
    assert told["general.type"] == "adapter"
    assert told["general.architecture"] == "llama"
    assert told["general.name"] == "refund-desk"
    assert told["adapter.type"] == "lora"
    assert told["adapter.lora.alpha"] == 4.0
    assert {t.tensor_type for t in reader.tensors} == {gguf.GGMLQuantizationType.F32}
    q = next(t for t in reader.tensors if t.name == "blk.0.attn_q.weight.lora_a")
    assert list(q.shape) == [32, 4]  # in, rank: in ggml's order, the first of them that of the weight


@pytest.mark.parametrize("scaling", ["classic", "rank_stabilised"])
def test_ranks_and_scales_that_differ_by_place_are_in_the_tensors(tmp_path, load, scaling):
    bank = AdapterBank(load("gpt2"))
    rank = {"kind": "tiered", "bottom": 2, "middle": 3, "top": 5}
    adapter = bank[lively(bank, request("lora", rank=rank, alpha=7.0, scaling=scaling))]
    found = products(written(tmp_path, adapter, bank.base.facts))
    for place, one in updates_of(adapter).items():
        (name,) = (theirs for ours, theirs in THEIRS["gpt2"].items() if place.endswith(f".{ours}"))
        torch.testing.assert_close(found[f"blk.{one.place.layer}.{name}.weight"], one.up_OR @ one.down_RI, **CLOSE)


@pytest.mark.parametrize("method", ["pissa", "adalora", "structured_lora", "delta_lora", "dynamic_lora"])
def test_methods_with_a_low_rank_update_are_written_as_that_update(tmp_path, load, method):
    bank = AdapterBank(load("gpt2"))
    adapter = bank[lively(bank, request(method))]
    found = products(written(tmp_path, adapter, bank.base.facts))
    assert len(found) == len(adapter.placed)
    for place, one in updates_of(adapter).items():
        (name,) = (theirs for ours, theirs in THEIRS["gpt2"].items() if place.endswith(f".{ours}"))
        torch.testing.assert_close(found[f"blk.{one.place.layer}.{name}.weight"], one.up_OR @ one.down_RI, **CLOSE)


@pytest.mark.parametrize("method", ["dora", "ia3", "prefix_tuning"])
def test_a_method_that_llama_cpp_does_not_know_is_refused(load, method):
    bank = AdapterBank(load("llama"))
    with pytest.raises(SpecError, match=f"'{method}': expected a method whose effect is a low-rank update"):
        gguf_lora(bank[lively(bank, request(method))], bank.base.facts)


def test_a_family_that_it_does_not_know_is_refused(load):
    bank = AdapterBank(load("mixtral"))
    with pytest.raises(SpecError, match="MixtralForCausalLM': expected one of LlamaForCausalLM"):
        gguf_lora(bank[lively(bank, request("lora", targets=["attention"]))], bank.base.facts)


def test_every_family_is_one_that_the_package_knows():
    assert {architecture for architecture, _ in FAMILIES.values()} <= set(gguf.MODEL_ARCH_NAMES.values())
    assert {FAMILIES[name][0] for name in FAMILIES} >= set(ARCHITECTURES.values())


def test_a_sum_of_adapters_is_written_too(tmp_path, load):
    bank = AdapterBank(load("gpt2"))
    a, b = (bank[lively(bank, request("lora"), seed)] for seed in (1, 2))
    assert len(products(written(tmp_path, added([(a, 1.0), (b, -1.0)]), bank.base.facts))) == len(a.placed)
