"""Recomputed activations give the gradient of kept ones: same adapters, same dropout, none of the base's own."""

import threading

import pytest
import torch
from tests.support.methods import leaves, request
from tests.support.methods import lively as lively_spec
from tests.support.tiny_base import FAMILIES, make_other

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.merge import merged_model
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.any_model import wrapped
from graftwork.core.errors import WorkError
from graftwork.training.memory import checkpoint_activations, keep_activations


def combined(*parts):
    return parse_adapter_spec({"method": "combined", "parts": parts})


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
    return loss.detach(), torch.cat([torch.zeros(0), *(leaf.grad.flatten() for leaf in leaves)])


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


SOME = {
    "lora at q and k": request("lora", targets=["q_proj", "k_proj"]),
    "lora at k and v": request("lora", targets=["k_proj", "v_proj"]),
    "lora at q": request("lora", targets=["q_proj"]),
    "gains before lora": combined({"method": "ia3", "feedforward": ["attention", "mlp.gate"]}, {"method": "lora"}),
    "gains before one of three": combined({"method": "ia3", "feedforward": ["attention.k"]}, {"method": "pissa"}),
}


@pytest.mark.parametrize("asked", SOME)
def test_layers_beside_each_other_may_be_adapted_in_part(load, tokens_BT, asked):
    bank = AdapterBank(load())
    handle = lively_spec(bank, SOME[asked], 1)
    kept = gradient(bank, [handle], tokens_BT(3), [handle] * 3)
    checkpoint_activations(bank)
    recomputed = gradient(bank, [handle], tokens_BT(3), [handle] * 3)
    for found, expected in zip(recomputed, kept, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_layers_with_two_inputs_give_the_same_gradient_recomputed():
    bank = AdapterBank(wrapped(make_other("whisper"), ref="tiny whisper"))
    handle = lively_spec(bank, request("lora", targets=["attention"]), 1)
    params, draw = leaves(bank, handle), torch.Generator().manual_seed(1)
    features = torch.randn(2, 8, 40, generator=draw, dtype=torch.float64)
    tokens = torch.randint(3, 60, (2, 5), generator=draw)

    def found():
        with bank.route([handle] * 2, training=True):
            loss = bank.host.model(input_features=features, decoder_input_ids=tokens).logits.square().mean()
            return torch.autograd.grad(loss, list(params.values()))

    kept = found()
    checkpoint_activations(bank)
    torch.testing.assert_close(found(), kept, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["lora", "prefix_tuning", "bottleneck"])
def test_recomputing_that_would_lose_the_route_is_refused(load, tokens_BT, logits, name, reentrant):
    bank = AdapterBank(load())
    handle, model = lively_spec(bank, request(name)), bank.base.model
    before = logits(bank, tokens_BT(), [handle] * 2)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    assert torch.equal(logits(bank, tokens_BT(), [handle] * 2), before)
    model.train()
    with bank.route([None, None]):
        model(input_ids=tokens_BT(), use_cache=False)
    with pytest.raises(WorkError, match=r"checkpoint_activations\(bank\)"), bank.route([handle, None], training=True):
        pass
    assert bank.route_now() is None
    model.eval()
    checkpoint_activations(bank)
    gradient(bank, [], tokens_BT(), [handle] * 2)


def test_undone_it_leaves_no_hook_and_nothing_that_asks_for_gradients(load, tokens_BT):
    bank = AdapterBank(load())
    checkpoint_activations(bank)
    keep_activations(bank)
    assert not [m for m in bank.base.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not bank.base.model(input_ids=tokens_BT()).logits.requires_grad
