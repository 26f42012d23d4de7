"""A batch of many adapters is what each of them would have answered alone, gradients too."""

import pytest
import torch
from tests.support.tiny_base import FAMILIES

from graftwork.adapters.bank import AdapterBank

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_of_a_mixed_batch_is_its_adapter_alone(load, lively, logits, base_logits, tokens_BT, family):
    bank, tokens = AdapterBank(load(family)), tokens_BT(4)
    a, b = lively(bank, 1), lively(bank, 2, rank=3, targets=["attention"])
    mixed = logits(bank, tokens, [a, None, b, a])
    alone_a, alone_b = logits(bank, tokens, [a] * 4), logits(bank, tokens, [b] * 4)
    torch.testing.assert_close(mixed[[0, 3]], alone_a[[0, 3]], **CLOSE)
    torch.testing.assert_close(mixed[2], alone_b[2], **CLOSE)
    assert torch.equal(mixed[1], base_logits(bank.base, tokens)[1])
    assert (alone_a - alone_b).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_of_a_mixed_batch_is_its_row_sent_alone(load, lively, logits, tokens_BT, family):
    bank, tokens = AdapterBank(load(family)), tokens_BT(4)
    a, b = lively(bank, 1), lively(bank, 2)
    rows = [a, None, b, a]
    mixed = logits(bank, tokens, rows)
    one_by_one = torch.cat([logits(bank, tokens[i, None], [rows[i]]) for i in range(4)])
    torch.testing.assert_close(mixed, one_by_one, **CLOSE)


def test_a_row_of_the_base_alone_is_the_base_in_bfloat16_too(load, lively, logits, base_logits, tokens_BT):
    bank, tokens = AdapterBank(load("llama", "bfloat16")), tokens_BT(3)
    mixed = logits(bank, tokens, [lively(bank, 1), None, lively(bank, 2)])
    assert torch.equal(mixed[1], base_logits(bank.base, tokens)[1])


def gradients(bank, handles, tokens, rows, loss_rows):
    """Gradients of each adapter, by name, of a loss over `loss_rows`."""
    leaves = {h: {name: t.requires_grad_() for name, t in bank[h].tensors()} for h in handles}
    for tensor in (t for named in leaves.values() for t in named.values()):
        tensor.grad = None
    with bank.route(rows):
        out = bank.base.model(input_ids=tokens).logits
        out[loss_rows].square().sum().backward()
    return {h: {name: t.grad for name, t in named.items()} for h, named in leaves.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_in_a_mixed_batch_is_the_gradient_alone(load, lively, tokens_BT, family):
    bank, tokens = AdapterBank(load(family)), tokens_BT(4)
    a, b = lively(bank, 1), lively(bank, 2)
    mixed = gradients(bank, [a, b], tokens, [a, None, b, a], [0, 1, 2, 3])
    only_a = gradients(bank, [a], tokens[[0, 3]], [a, a], [0, 1])[a]
    only_b = gradients(bank, [b], tokens[[2]], [b], [0])[b]
    for name in only_a:  # matrices of other shapes add in another order; measured 5e-13
        torch.testing.assert_close(mixed[a][name], only_a[name], rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(mixed[b][name], only_b[name], rtol=1e-11, atol=1e-11)


def test_a_row_gives_no_gradient_to_the_adapters_of_others(load, lively, tokens_BT):
    bank, tokens = AdapterBank(load()), tokens_BT(4)
    a, b = lively(bank, 1), lively(bank, 2)
    found = gradients(bank, [a, b], tokens, [a, None, b, a], [0, 1, 3])
    assert all(g is None or not g.any() for g in found[b].values())
    assert all(g.any() for g in found[a].values())


def test_packed_tokens_go_to_their_own_adapters(load, lively):
    bank = AdapterBank(load())
    a, b = lively(bank, 1), lively(bank, 2)
    place = "model.layers.1.mlp.up_proj"
    layer = bank.base.model.get_submodule(place)
    x_1TI = torch.randn(1, 9, layer.in_features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with bank.route_tokens([(a, 2), (None, 3), (b, 4)]):
            packed = layer(x_1TI)
        base = layer(x_1TI)
        for handle, piece in ((a, slice(0, 2)), (b, slice(5, 9))):
            with bank.route([handle]):
                torch.testing.assert_close(packed[:, piece], layer(x_1TI[:, piece]), **CLOSE)
            assert not torch.allclose(packed[:, piece], base[:, piece])
        assert torch.equal(packed[:, 2:5], base[:, 2:5])


def test_two_adapters_at_different_depths_share_a_batch(load, lively, logits, tokens_BT):
    bank, tokens = AdapterBank(load()), tokens_BT(2)
    low, high = lively(bank, 1, layers=[0]), lively(bank, 2, layers=[-1], targets=["mlp.down"])
    mixed = logits(bank, tokens, [low, high])
    torch.testing.assert_close(mixed[0], logits(bank, tokens, [low, low])[0], **CLOSE)
    torch.testing.assert_close(mixed[1], logits(bank, tokens, [high, high])[1], **CLOSE)


def test_strength_by_the_formula(load, lively, tokens_BT):
    bank = AdapterBank(load())
    handle = lively(bank, 1, rank=4, alpha=6.0, targets=["mlp.up"])
    stable = lively(bank, 1, rank=4, alpha=6.0, scaling="rank_stabilised", targets=["mlp.up"])
    place = "model.layers.1.mlp.up_proj"
    layer, params = bank.base.model.get_submodule(place), bank[handle].placed[place].params
    x_NI = torch.randn(3, layer.in_features, dtype=torch.float64)
    update = x_NI @ params["a_RI"].T @ params["b_OR"].T
    for rows, strength in ((handle, 6 / 4), (stable, 6 / 2)):
        with torch.no_grad(), bank.route([rows]):
            torch.testing.assert_close(layer(x_NI[None])[0], x_NI @ layer.weight.T + strength * update, **CLOSE)
