"""Under autocast every row of a mixed batch is still its adapter alone, and near what float32 gives."""

import pytest
import torch
from tests.support.methods import leaves, lively, request, stirred

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.method import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_row_is_its_adapter_alone(load, tokens_BT, name):
    bank, tokens = AdapterBank(load("llama", "float32")), tokens_BT(3, 12)
    handle = stirred(bank, bank.fresh(request(name), seed=1), strength=0.05)
    other = lively(bank, request("lora"), 2)

    def answer(rows, which):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), bank.route(rows):
            return bank.base.model(input_ids=tokens[which]).logits.float()

    mixed = answer([handle, None, other], [0, 1, 2])
    alone = answer([handle], [0])[0]
    with torch.no_grad(), bank.route([handle]):
        exact = bank.base.model(input_ids=tokens[:1]).logits[0]
    scale = float(exact.abs().max())
    assert float((mixed[0] - alone).abs().max()) < 0.02 * scale
    assert float((alone - exact).abs().mean()) < 0.02 * scale


@pytest.mark.parametrize("name", METHODS)
def test_gradients_come_in_the_type_of_the_tensors(load, tokens_BT, name):
    bank = AdapterBank(load("llama", "float32"))
    handle = lively(bank, request(name))
    params = leaves(bank, handle)
    with torch.autocast("cpu", torch.bfloat16), bank.route([handle] * 2):
        loss = bank.base.model(input_ids=tokens_BT()).logits.float().square().mean()
    loss.backward()
    assert all(tensor.grad.dtype == torch.float32 and tensor.grad.isfinite().all() for tensor in params.values())
    assert all(tensor.grad.any() for tensor in params.values())
