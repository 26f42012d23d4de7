"""Adapters on a base in 8 or 4 bits: trained, mixed, merged, saved and loaded like on any other."""

import json

import pytest
import torch
from tests.support.methods import lively, loss_of, request
from tests.support.tiny_base import FAMILIES

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.merge import merged_model, proof
from graftwork.adapters.method import METHODS
from graftwork.adapters.unmerge import unmerged
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.load import load_base
from graftwork.base.quantised import QuantisedLinear, dequantise, scheme_of
from graftwork.core.errors import SpecError

SCHEMES = ("int8", "int4")


@pytest.fixture(scope="session")
def quantised(folder_of):
    """`quantised(scheme, family, dtype)`: a tiny base in 8 or 4 bits."""
    return lambda scheme, family="llama", dtype="float64": load_base(
        str(folder_of(family)), dtype=dtype, quantised=scheme
    )


@pytest.fixture(scope="session")
def twin(quantised):
    """`twin(scheme)`: a plain base with the weights that the quantised one computes with."""

    def made(scheme, family="llama"):
        base = quantised(scheme, family)
        dequantise(base.model)
        return base

    return made


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_places_are_those_of_the_plain_base(load, quantised, scheme, family):
    plain, base = load(family), quantised(scheme, family)
    assert base.facts == plain.facts
    assert base.fingerprint == plain.fingerprint
    assert scheme_of(base.model) == scheme
    assert base.tensor_digest() != plain.tensor_digest()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_method_answers_as_on_a_plain_base_of_the_same_weights(
    quantised, twin, tokens_BT, logits, scheme, method
):
    family = "mixtral" if METHODS[method].site == "experts" else "llama"
    bank, plain = AdapterBank(quantised(scheme, family)), AdapterBank(twin(scheme, family))
    handle = lively(bank, request(method))
    other = plain.add(bank[handle], name="same")
    digest, tokens = bank.base.tensor_digest(), tokens_BT()
    found, expected = logits(bank, tokens, [handle, None]), logits(plain, tokens, [other, None])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert bank.base.tensor_digest() == digest


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_row_without_adapter_is_the_base_bit_for_bit(quantised, lively, tokens_BT, logits, base_logits, scheme):
    bank, tokens = AdapterBank(quantised(scheme, dtype="bfloat16")), tokens_BT()
    handle = lively(bank)
    assert torch.equal(logits(bank, tokens, [handle, None])[1], base_logits(bank.base, tokens)[1])


@pytest.mark.parametrize("method", ["lora", "dora", "pissa"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_five_steps_lower_the_loss_and_move_no_byte_of_the_base(quantised, tokens_BT, scheme, dtype, method):
    bank, tokens = AdapterBank(quantised(scheme, dtype=dtype)), tokens_BT()
    handle = bank.fresh(request(method), seed=0)
    params = dict(bank[handle].trained())
    optimizer = torch.optim.Adam([tensor.requires_grad_() for tensor in params.values()], lr=1e-2)
    digest, losses = bank.base.tensor_digest(), []
    for _ in range(6):
        optimizer.zero_grad()
        loss = loss_of(bank, handle, tokens, training=True)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < losses[0]
    assert bank.base.tensor_digest() == digest
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in params.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradients_are_those_of_a_plain_base_of_the_same_weights(quantised, twin, tokens_BT, scheme):
    banks = AdapterBank(quantised(scheme)), AdapterBank(twin(scheme))
    found = []
    for bank in banks:
        handle = lively(bank, request("lora"))
        tensors = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
        loss_of(bank, handle, tokens_BT()).backward()
        found.append({name: tensor.grad for name, tensor in tensors.items()})
    for name, grad in found[0].items():  # those of the lowest layer have come through every layer above
        torch.testing.assert_close(grad, found[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_card_says_the_format_and_another_one_is_told(tmp_path, load, quantised, logits, tokens_BT, scheme):
    bank = AdapterBank(quantised(scheme))
    handle = lively(bank, request("lora"))
    write_adapter(tmp_path / "a", bank[handle], bank.base, {})
    assert json.loads((tmp_path / "a" / "graftwork.json").read_text())["base"]["quantised"] == scheme
    again = read_adapter(tmp_path / "a", bank.base)
    assert again.notice is None
    put = bank.add(again.adapter, name="again")
    assert torch.equal(logits(bank, tokens_BT(), [put] * 2), logits(bank, tokens_BT(), [handle] * 2))
    words = {"int8": "8 bits", "int4": "4 bits"}[scheme]
    assert words in read_adapter(tmp_path / "a", load()).notice


def test_a_card_of_a_plain_base_says_nothing_of_bits_and_another_format_is_told(tmp_path, load, quantised):
    bank = AdapterBank(load())
    write_adapter(tmp_path / "a", bank[lively(bank, request("lora"))], bank.base, {})
    assert "quantised" not in json.loads((tmp_path / "a" / "graftwork.json").read_text())["base"]
    assert read_adapter(tmp_path / "a", bank.base).notice is None
    assert "unquantised" in read_adapter(tmp_path / "a", quantised("int8")).notice


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_merge_is_put_into_as_many_bits_again(quantised, lively, tokens_BT, logits, base_logits, scheme, family):
    bank, tokens = AdapterBank(quantised(scheme, family)), tokens_BT()
    handle = lively(bank)
    digest = bank.base.tensor_digest()
    merged = merged_model(bank.base.model, bank[handle])
    assert scheme_of(merged) == scheme
    assert bank.base.tensor_digest() == digest
    name, here = next(iter(bank[handle].placed.items()))
    exact_OI = bank.frozen(here.place).weight + here.spec.scale * (here.params["b_OR"] @ here.params["a_RI"]).double()
    bias_O = bank.frozen(here.place).bias_O
    expected = QuantisedLinear(exact_OI, bias_O, scheme, flipped=False)
    assert torch.equal(merged.get_submodule(name).codes, expected.codes)
    with torch.no_grad():
        found = merged(input_ids=tokens).logits
    applied, alone = logits(bank, tokens, [handle] * 2), base_logits(bank.base, tokens)
    drift, effect = (proof(applied.flatten(0, 1), other.flatten(0, 1)).mean_kl_nats for other in (found, alone))
    assert 0 < drift < effect / 2


def test_four_bits_round_a_small_adapter_away(quantised, tokens_BT, logits, base_logits):
    bank, tokens = AdapterBank(quantised("int4")), tokens_BT()
    handle = bank.fresh(parse_adapter_spec({"method": "lora", "rank": 2}), seed=0)
    for name, tensor in bank[handle].trained():
        if name.endswith("b_OR"):
            torch.nn.init.constant_(tensor, 1e-5)
    merged = merged_model(bank.base.model, bank[handle])
    codes = [one.codes for one in bank.base.model.modules() if isinstance(one, QuantisedLinear)]
    others = [one.codes for one in merged.modules() if isinstance(one, QuantisedLinear)]
    same = sum(int((a == b).sum()) for a, b in zip(codes, others, strict=True))
    assert same > 0.999 * sum(one.numel() for one in codes)
    assert (logits(bank, tokens, [handle] * 2) - base_logits(bank.base, tokens)).abs().max() > 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_model_in_few_bits_cannot_be_unmerged(quantised, scheme):
    bank = AdapterBank(quantised(scheme))
    handle = lively(bank, request("lora"))
    with pytest.raises(SpecError, match="8 or 4 bits"):
        unmerged(merged_model(bank.base.model, bank[handle]), bank[handle])
