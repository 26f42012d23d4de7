"""DoRA, IA3 and PiSSA are those of PEFT: the same weights give the same logits, and five steps the same weights."""

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from tests.support.methods import leaves, lively, loss_of, request
from transformers import AutoModelForCausalLM

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import write_adapter

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
FAMILIES = ("llama", "gpt2")
RATE = 0.1

LORA_NAMES = {"a_RI": "lora_A.default.weight", "b_OR": "lora_B.default.weight"}
NAMES = {
    **LORA_NAMES,
    "magnitude_O": "lora_magnitude_vector.default.weight",
    "gain_I": "ia3_l.default",
    "gain_O": "ia3_l.default",
}
"""What PEFT calls a param of ours, below its layer."""

DORA = {"targets": ["attention", "mlp"], "rank": 4, "alpha": 6.0}
IA3_LAYERS = {"llama": ["k_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "mlp.c_proj"]}
IA3_FEEDFORWARD = {"llama": ["down_proj"], "gpt2": ["mlp.c_proj"]}


def bare(base, dtype=torch.float64):
    return AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype)


def their_logits(model, tokens):
    with torch.no_grad():
        return model(input_ids=tokens).logits


def their_params(theirs, adapter):
    """PEFT's parameters by our names."""
    named = dict(theirs.named_parameters())
    return {
        f"{key}/{param}": named[f"base_model.model.{here.place.name}.{NAMES[param]}"]
        for key, here in adapter.placed.items()
        for param in here.params
        if param in NAMES
    }


def given_ours(theirs, adapter):
    """PEFT's parameters by our names, with our numbers, and nothing else trained."""
    pairs, ours = their_params(theirs, adapter), dict(adapter.tensors())
    assert {id(p) for p in pairs.values()} == {id(p) for p in theirs.parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in pairs.items():
            parameter.copy_(ours[name].view_as(parameter))
    return pairs


def five_steps_are_the_same(bank, handle, theirs, pairs, tokens):
    params = leaves(bank, handle)
    started = {name: tensor.detach().clone() for name, tensor in params.items()}
    for _ in range(5):
        ours, other = loss_of(bank, handle, tokens), theirs(input_ids=tokens).logits.square().mean()
        torch.testing.assert_close(ours, other, **CLOSE)
        ours.backward()
        other.backward()
        with torch.no_grad():
            for tensor in (*params.values(), *pairs.values()):
                tensor.sub_(RATE * tensor.grad)
                tensor.grad = None
    for name, tensor in params.items():
        torch.testing.assert_close(tensor.detach(), pairs[name].detach().view_as(tensor), **CLOSE)
    assert max((params[name].detach() - was).abs().max() for name, was in started.items()) > 1e-3


def dora_pair(load, family):
    bank = AdapterBank(load(family))
    handle = lively(bank, request("dora", **DORA))
    told = LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(bare(bank.base), told).eval()
    return bank, handle, theirs, given_ours(theirs, bank[handle])


def ia3_pair(load, family):
    bank = AdapterBank(load(family))
    handle = lively(bank, request("ia3"))
    told = IA3Config(
        target_modules=IA3_LAYERS[family], feedforward_modules=IA3_FEEDFORWARD[family], task_type="CAUSAL_LM"
    )
    theirs = get_peft_model(bare(bank.base), told).eval()
    return bank, handle, theirs, given_ours(theirs, bank[handle])


PAIRS = {"dora": dora_pair, "ia3": ia3_pair}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", PAIRS)
def test_the_same_weights_give_the_logits_of_peft(load, logits, base_logits, tokens_BT, method, family):
    bank, handle, theirs, _ = PAIRS[method](load, family)
    found = logits(bank, tokens_BT(), [handle] * 2)
    torch.testing.assert_close(found, their_logits(theirs, tokens_BT()), **CLOSE)
    assert (found - base_logits(bank.base, tokens_BT())).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", PAIRS)
def test_five_steps_end_at_the_weights_of_peft(load, tokens_BT, method, family):
    bank, handle, theirs, pairs = PAIRS[method](load, family)
    five_steps_are_the_same(bank, handle, theirs, pairs, tokens_BT())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_dora_has_the_magnitudes_of_peft(load, family):
    bank = AdapterBank(load(family))
    fresh = bank[bank.fresh(request("dora", **DORA), seed=0)]
    told = LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules="all-linear", task_type="CAUSAL_LM")
    pairs = their_params(get_peft_model(bare(bank.base), told), fresh)
    for name, tensor in fresh.tensors():
        if name.endswith("magnitude_O"):
            torch.testing.assert_close(tensor, pairs[name].detach(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_pissa_has_the_product_of_peft(load, family):
    bank = AdapterBank(load(family))
    asked = request("pissa", targets=DORA["targets"], rank=4, alpha=6.0, svd="full")
    fresh = bank[bank.fresh(asked, seed=0)]
    told = LoraConfig(r=4, lora_alpha=6, init_lora_weights="pissa", target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = their_params(get_peft_model(bare(bank.base, torch.float32), told), fresh)
    for key, here in fresh.placed.items():
        product = here.params["b0_OR"] @ here.params["a0_RI"]
        other = (theirs[f"{key}/b_OR"] @ theirs[f"{key}/a_RI"]).double()
        torch.testing.assert_close(product, other, rtol=0, atol=1e-5)  # float32 there; measured 1.4e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_pissa_is_peft_s_lora_on_a_base_without_the_principal_part(load, logits, tokens_BT, family):
    bank = AdapterBank(load(family))
    handle = lively(bank, request("pissa", targets=DORA["targets"], rank=4, alpha=6.0))
    told = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(bare(bank.base), told).eval()
    pairs = given_ours(theirs, bank[handle])
    residual = dict(theirs.named_parameters())
    with torch.no_grad():
        for here in bank[handle].placed.values():
            weight = residual[f"base_model.model.{here.place.name}.base_layer.weight"]
            principal = here.spec.scale * here.params["b0_OR"] @ here.params["a0_RI"]
            weight.sub_(principal if family == "llama" else principal.T)
    found = logits(bank, tokens_BT(), [handle] * 2)
    torch.testing.assert_close(found, their_logits(theirs, tokens_BT()), **CLOSE)
    five_steps_are_the_same(bank, handle, theirs, pairs, tokens_BT())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["pissa", "delta_lora"])
@pytest.mark.parametrize("scaling", ["classic", "rank_stabilised"])
def test_what_comes_to_a_lora_is_read_by_peft_as_one(tmp_path, load, logits, tokens_BT, method, family, scaling):
    bank = AdapterBank(load(family))
    handle = lively(bank, request(method, scaling=scaling))
    write_adapter(tmp_path / "ours", bank[handle], bank.base, {})
    theirs = PeftModel.from_pretrained(bare(bank.base), tmp_path / "ours").eval()
    torch.testing.assert_close(logits(bank, tokens_BT(), [handle] * 2), their_logits(theirs, tokens_BT()), **CLOSE)
