"""Factors side by side: each token meets its own, and nothing of another's, not even what is no number."""

import pytest
import torch
from tests.support.methods import lively as lively_spec
from tests.support.methods import request

CLOSE = {"rtol": 1e-11, "atol": 1e-11}


@pytest.mark.parametrize("length", [1, 3])
def test_a_batch_of_many_methods_and_ranks_is_each_alone(bank, logits, base_logits, tokens_BT, length):
    specs = [request("lora", rank=1), request("lora", rank=5), request("dora"), request("ia3"), request("lora")]
    handles = [lively_spec(bank, spec, seed) for seed, spec in enumerate(specs)]
    rows = [*handles, None, (handles[0], handles[2]), (handles[3], handles[1])]
    tokens = tokens_BT(len(rows), length)
    found = logits(bank, tokens, rows)
    for i, row in enumerate(rows):
        torch.testing.assert_close(found[i], logits(bank, tokens[i, None], [row])[0], **CLOSE)
    assert torch.equal(found[5], base_logits(bank.base, tokens)[5])


@pytest.mark.parametrize("param", ["a_RI", "b_OR"])
@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_what_is_no_number_in_one_adapter_stays_in_its_rows(bank, lively, logits, tokens_BT, param, broken):
    good, bad, tokens = lively(bank, 1), lively(bank, 2), tokens_BT(3, 1)
    expected = logits(bank, tokens, [good, None, good])
    for name, tensor in bank[bad].tensors():
        if name.endswith(param):
            tensor.fill_(broken)
    found = logits(bank, tokens, [good, None, bad])
    torch.testing.assert_close(found[:2], expected[:2], **CLOSE)
    assert not found[2].isfinite().all()


def test_a_tensor_changed_while_its_route_is_in_force_is_seen(bank, lively, logits, tokens_BT):
    a, b, tokens = lively(bank, 1), lively(bank, 2), tokens_BT(2, 1)
    with torch.no_grad(), bank.route([a, b]):
        before = bank.base.model(input_ids=tokens).logits
        for _, tensor in bank[a].tensors():
            tensor.mul_(1.5)
        after = bank.base.model(input_ids=tokens).logits
    assert (after[0] - before[0]).abs().max() > 1e-3
    torch.testing.assert_close(after[1], before[1], **CLOSE)
    torch.testing.assert_close(after, logits(bank, tokens, [a, b]), **CLOSE)


def test_layers_that_see_other_inputs_than_their_neighbours_are_answered_all_the_same(bank, lively):
    a, b = lively(bank, 1), lively(bank, 2)
    mlp = bank.base.model.model.layers[0].mlp
    draw = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2, 1, 32, dtype=torch.float64, generator=draw) for _ in range(2))
    with torch.no_grad(), bank.route([a, b]):
        mlp.gate_proj(first)
        found = mlp.up_proj(second)
        first.mul_(2)
        mlp.gate_proj(second)
        second.mul_(3)
        changed = mlp.up_proj(second)
    with torch.no_grad(), bank.route([a, b]):
        torch.testing.assert_close(changed, 3 * found, **CLOSE)
        torch.testing.assert_close(mlp.up_proj(second), changed, **CLOSE)


def test_it_works_in_inference_mode(bank, lively, logits, tokens_BT):
    rows, tokens = [lively(bank, 1), lively(bank, 2), None], tokens_BT(3, 1)
    with torch.inference_mode(), bank.route(rows):
        found = bank.base.model(input_ids=tokens).logits.clone()
    torch.testing.assert_close(found, logits(bank, tokens, rows), **CLOSE)
