"""Adapter files both ways: ours in PEFT and PEFT's here give the same logits."""

import re

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from tests.support.tiny_base import FAMILIES
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.core.errors import SpecError

CLOSE = {"float64": {"rtol": 1e-10, "atol": 1e-10}, "float32": {"rtol": 0, "atol": 1e-4}}
"""float32: PEFT adds in another order; measured 2.1e-6 at most."""

TIERED = {"kind": "tiered", "bottom": 2, "middle": 3, "top": 5}
QUERY = {"llama": "q_proj", "qwen2": "q_proj", "gemma3": "q_proj", "gpt2": "c_attn", "neox": "query_key_value"}
DOWN = {"llama": "down_proj", "qwen2": "down_proj", "gemma3": "down_proj", "gpt2": "c_proj", "neox": "dense_4h_to_h"}


def bare(base):
    """The base's model as `transformers` made it, for PEFT to take apart."""
    return AutoModelForCausalLM.from_pretrained(base.folder, dtype=base.model.dtype)


def logits_of(model, tokens):
    with torch.no_grad():
        return model.eval()(input_ids=tokens).logits


def made_by_peft(base, folder, **config):
    """Save a random adapter from PEFT, and give its model back."""
    torch.manual_seed(5)
    told = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **{"r": 4, "lora_alpha": 6, **config})
    model = get_peft_model(bare(base), told)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("family", FAMILIES)
def test_our_adapter_in_peft_gives_our_logits(tmp_path, load, lively, logits, base_logits, tokens_BT, family, dtype):
    bank, tokens = AdapterBank(load(family, dtype)), tokens_BT()
    handle = lively(bank, rank=TIERED, alpha=6.0, scaling="rank_stabilised")
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = logits_of(PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours"), tokens)
    ours = logits(bank, tokens, [handle] * 2)
    torch.testing.assert_close(theirs, ours, **CLOSE[dtype])
    assert (ours - base_logits(bank.base, tokens)).abs().max() > 0.1


@pytest.mark.parametrize("asked", [{"targets": ["attention.q", "mlp.down"]}, {"layers": [0, -1]}, {"dropout": 0.5}])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_choice_of_places_survives_the_way_to_peft(tmp_path, load, lively, logits, tokens_BT, family, asked):
    if family == "gpt2" and "targets" in asked:
        asked = {"targets": ["attention.qkv", "mlp.down"]}  # of its two c_proj only one: whole names must be written
    bank, tokens = AdapterBank(load(family)), tokens_BT()
    handle = lively(bank, **asked)
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours")
    torch.testing.assert_close(logits_of(theirs, tokens), logits(bank, tokens, [handle] * 2), **CLOSE["float64"])
    adapted = {n.removeprefix("base_model.model.") for n, m in theirs.named_modules() if hasattr(m, "lora_A")}
    assert adapted == set(bank[handle].placed)


def test_our_adapter_opens_by_its_folder_alone(tmp_path, load, lively, logits, tokens_BT):
    bank = AdapterBank(load("llama", "float32"))
    handle = lively(bank)
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32)
    torch.testing.assert_close(
        logits_of(theirs, tokens_BT()), logits(bank, tokens_BT(), [handle] * 2), **CLOSE["float32"]
    )


def configs(family):
    q, down = QUERY[family], DOWN[family]
    return {
        "list": {"target_modules": [q, down]},
        "regex": {"target_modules": rf".*\.1\..*({q}|{down})"},
        "all-linear": {"target_modules": "all-linear"},
        "rslora": {"target_modules": [q], "use_rslora": True},
        "patterns": {
            "target_modules": [q, down],
            "rank_pattern": {down: 2, rf"1\..*\.{q}": 3},
            "alpha_pattern": {rf"2\..*\.{q}": 9, f"^{first_place(family)}": 5},
            "use_rslora": True,
        },
        "layers": {"target_modules": [q, down], "layers_to_transform": [0, 2]},
        "one layer": {"target_modules": [q], "layers_to_transform": 1},
        "layers by pattern": {"target_modules": [q], "layers_to_transform": [1], "layers_pattern": LAYERS[family]},
        "excluded": {"target_modules": "all-linear", "exclude_modules": [q]},
        "excluded by regex": {"target_modules": [q, down], "exclude_modules": rf".*\.0\..*{down}"},
    }


LAYERS = {"llama": "layers", "qwen2": "layers", "gemma3": "layers", "gpt2": "h", "neox": "layers"}


def first_place(family):
    stem = {"gpt2": "transformer.h.0.attn", "neox": "gpt_neox.layers.0.attention"}
    return re.escape(f"{stem.get(family, 'model.layers.0.self_attn')}.{QUERY[family]}")


@pytest.mark.parametrize("which", configs("llama"))
@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_of_peft_gives_its_logits_here(tmp_path, load, logits, tokens_BT, family, which):
    bank, tokens = AdapterBank(load(family)), tokens_BT()
    theirs = made_by_peft(bank.base, tmp_path / "theirs", **configs(family)[which])
    handle = bank.load(tmp_path / "theirs")
    adapted = {n.removeprefix("base_model.model.") for n, m in theirs.named_modules() if hasattr(m, "lora_A")}
    assert set(bank[handle].placed) == adapted
    torch.testing.assert_close(logits(bank, tokens, [handle] * 2), logits_of(theirs, tokens), **CLOSE["float64"])


def test_an_adapter_of_peft_on_a_float32_base(tmp_path, load, logits, tokens_BT):
    bank = AdapterBank(load("llama", "float32"))
    theirs = made_by_peft(bank.base, tmp_path / "theirs", target_modules="all-linear")
    handle = bank.load(tmp_path / "theirs", name="theirs")
    ours = logits(bank, tokens_BT(), [handle] * 2)
    torch.testing.assert_close(ours, logits_of(theirs, tokens_BT()), **CLOSE["float32"])


def test_an_adapter_of_peft_saved_again_here_is_still_the_same(tmp_path, load, logits, tokens_BT):
    bank = AdapterBank(load())
    theirs = made_by_peft(bank.base, tmp_path / "theirs", **configs("llama")["patterns"])
    read = read_adapter(tmp_path / "theirs", bank.base)
    assert read.card is None
    write_adapter(tmp_path / "again", read.adapter, bank.base, {})
    back = read_adapter(tmp_path / "again", bank.base)
    assert back.adapter.digest() == read.adapter.digest() == back.card.digest
    once_more = PeftModel.from_pretrained(bare(bank.base), tmp_path / "again")
    torch.testing.assert_close(logits_of(once_more, tokens_BT()), logits_of(theirs, tokens_BT()), **CLOSE["float64"])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_adapter_of_the_head_is_refused_as_our_own_would_be(tmp_path, load, family):
    base = load(family)
    targets = [QUERY[family], "lm_head"]
    made_by_peft(base, tmp_path / "theirs", target_modules=targets).save_pretrained(
        tmp_path / "headless", save_embedding_layers=False
    )
    with pytest.raises(SpecError, match="lm_head"):
        read_adapter(tmp_path / "headless", base)
