"""Adapters that vLLM can compute are written as PEFT folders; what it cannot is refused before anything is written."""

import json

import pytest
import torch
from safetensors.torch import load_file

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.core.errors import SpecError
from graftwork.serving.vllm.form import plain_lora, write_for_vllm


@pytest.fixture(scope="module")
def bank(load):
    return AdapterBank(load(dtype="float32"))


@pytest.fixture(scope="module")
def made(bank):
    """`made(method="lora", ...)`: an adapter whose every tensor is random."""

    def adapter(seed=0, bank=bank, **asked):
        handle = bank.fresh(parse_adapter_spec({"method": "lora", **asked}), seed=seed, name="made")
        generator = torch.Generator().manual_seed(seed)
        found = bank[handle]
        for _, tensor in found.trained():
            tensor.normal_(std=0.3, generator=generator)
        bank.remove(handle)
        return found

    return adapter


def logits(bank, row):
    with torch.no_grad(), bank.route([row]):
        return bank.base.model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits


def refused(*adapters, max_rank=64):
    with pytest.raises(SpecError) as caught:
        plain_lora(adapters, max_rank=max_rank)
    return str(caught.value)


def test_a_lora_is_written_under_the_digest_of_what_it_computes(bank, made, tmp_path):
    one = plain_lora([made(rank=4)], max_rank=8)
    folder, digest = write_for_vllm(tmp_path, one, bank.base)
    assert folder == tmp_path / digest
    assert digest == one.digest()
    assert json.loads((folder / "adapter_config.json").read_text())["peft_type"] == "LORA"
    names = load_file(folder / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.layers.") for name in names)
    assert read_adapter(folder, bank.base).adapter.digest() == digest


def test_what_stands_on_another_is_written_as_one_that_computes_the_same(bank, made, tmp_path):
    lower, upper = made(seed=1, rank=2, dropout=0.1), made(seed=2, rank=3, scaling="rank_stabilised")
    one = plain_lora([lower, upper], max_rank=8)
    folder, _ = write_for_vllm(tmp_path, one, bank.base)
    rows = [bank.add(adapter, name="x") for adapter in (lower, upper, read_adapter(folder, bank.base).adapter)]
    assert torch.allclose(logits(bank, rows[:2]), logits(bank, rows[2]), atol=1e-4)
    assert not torch.allclose(logits(bank, rows[0]), logits(bank, rows[2]), atol=1e-2)
    for handle in rows:
        bank.remove(handle)
    assert "the rank of all that it stands on together to be at most 4" in refused(lower, upper, max_rank=4)


def test_dropout_of_training_is_not_written(bank, made, tmp_path):
    folder, _ = write_for_vllm(tmp_path, plain_lora([made(rank=2, dropout=0.2)], max_rank=8), bank.base)
    assert json.loads((folder / "adapter_config.json").read_text())["lora_dropout"] == 0


@pytest.mark.parametrize("method", ["dora", "ia3", "prefix_tuning", "bottleneck"])
def test_another_method_is_refused_in_words(made, method):
    said = refused(made(method=method))
    assert f"adapter.method = '{method}': expected a LoRA, or what comes to one, for vLLM" in said
    assert "Serve it with the engine graftwork" in said


def test_a_method_that_comes_to_a_lora_is_taken(made):
    assert {here.method.name for here in plain_lora([made(method="lora_xs", rank=2)], max_rank=8).placed.values()} == {
        "lora"
    }


def test_a_rank_that_is_too_high_is_refused(made):
    said = refused(made(rank=16), max_rank=8)
    assert said == "adapter.rank = 16: expected its rank to be at most 8. Raise engine.max_rank."


def test_experts_are_refused(made, load):
    bank = AdapterBank(load("mixtral", dtype="float32"))
    said = refused(made(bank=bank, rank=2, targets=["all"]))
    assert "for vLLM" in said
