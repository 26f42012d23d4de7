"""Recomputed activations give the gradient of kept ones: same adapters, same dropout, none of the base's own."""

import threading

import pytest
import torch
from tests.support.tiny_base import FAMILIES

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.merge import merged_model
from graftwork.training.memory import checkpoint_activations, keep_activations


def gradient(bank, handles, tokens, rows, *, threaded=False):
    leaves = [t.requires_grad_() for handle in handles for _, t in bank[handle].tensors()]
    for leaf in leaves:
        leaf.grad = None
    torch.manual_seed(11)
    with bank.route(rows, training=True):
        loss = bank.base.model(input_ids=tokens, use_cache=False).logits.square().mean()
        if threaded:
            worker = threading.Thread(target=loss.backward)
            worker.start()
            worker.join()
        else:
            loss.backward()
    return loss.detach(), torch.cat([leaf.grad.flatten() for leaf in leaves])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_the_same_with_and_without(load, lively, tokens_BT, family, dropout):
    bank, tokens = AdapterBank(load(family)), tokens_BT(3)
    a, b = lively(bank, 1, dropout=dropout), lively(bank, 2)
    kept = gradient(bank, [a, b], tokens, [a, None, b])
    checkpoint_activations(bank)
    recomputed = gradient(bank, [a, b], tokens, [a, None, b])
    keep_activations(bank)
    again = gradient(bank, [a, b], tokens, [a, None, b])
    for loss, grad in (recomputed, again):
        assert torch.equal(loss, kept[0])
        torch.testing.assert_close(grad, kept[1], rtol=1e-12, atol=1e-14)


def test_activations_are_really_recomputed(load, lively, tokens_BT):
    bank = AdapterBank(load())
    handle, calls = lively(bank), []
    bank.base.model.model.layers[1].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    checkpoint_activations(bank)
    gradient(bank, [handle], tokens_BT(), [handle] * 2)
    assert len(calls) == 2


def test_the_route_is_kept_when_backward_runs_in_another_thread(load, lively, tokens_BT):
    bank = AdapterBank(load())
    a, b = lively(bank, 1), lively(bank, 2)
    kept = gradient(bank, [a, b], tokens_BT(), [a, b])[1]
    checkpoint_activations(bank)
    found = gradient(bank, [a, b], tokens_BT(), [a, b], threaded=True)[1]
    torch.testing.assert_close(found, kept, rtol=1e-12, atol=1e-14)


def test_backward_may_run_twice(load, lively, tokens_BT):
    bank = AdapterBank(load())
    handle = lively(bank)
    leaves = [t.requires_grad_() for _, t in bank[handle].tensors()]
    checkpoint_activations(bank)
    with bank.route([handle] * 2):
        loss = bank.base.model(input_ids=tokens_BT(), use_cache=False).logits.square().mean()
        first = torch.autograd.grad(loss, leaves, retain_graph=True)
        second = torch.autograd.grad(loss, leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_dropout_of_the_base_stays_off(load, lively, tokens_BT):
    base = load("gpt2")
    assert base.model.config.resid_pdrop == 0.1
    bank = AdapterBank(base)
    handle = lively(bank)
    checkpoint_activations(bank)
    dropouts = [m for m in base.model.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts
    assert not any(m.training for m in dropouts)
    losses = {gradient(bank, [handle], tokens_BT(), [handle] * 2)[0].item() for _ in range(3)}
    assert len(losses) == 1


def test_undone_it_leaves_a_base_that_can_be_merged(load, lively, tokens_BT):
    bank = AdapterBank(load())
    handle = lively(bank)
    checkpoint_activations(bank)
    gradient(bank, [handle], tokens_BT(), [handle] * 2)
    keep_activations(bank)
    assert not any(m.training for m in bank.base.model.modules())
    merged_model(bank.base.model, bank[handle])
