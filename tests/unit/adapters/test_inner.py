"""The input of an MLP's last layer is made again in the backward pass where that gives the same bits, and else kept."""

import pytest
import torch
from tests.support.methods import leaves, lively, request

from graftwork.adapters.bank import AdapterBank

MLPS = {"llama": 3, "qwen2": 3, "gemma3": 3, "gpt2": 0, "neox": 3}
"""How many of a base's three MLPs make it again: their activation must be one operation."""


def kept_and_gradients(bank, handle, tokens):
    """Storages that autograd keeps, and the gradients."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor  # alive, so that no address is used twice
        return tensor

    params = leaves(bank, handle)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), bank.route([handle] * len(tokens)):
        loss = bank.base.model(input_ids=tokens).logits.square().mean()
    loss.backward()
    return kept, {name: tensor.grad for name, tensor in params.items()}


def inputs_of(bank, seen):
    """Remember what goes into each MLP's last layer."""
    return [
        bank.module(name).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for name in bank.last_of.values()
    ]


@pytest.mark.parametrize("family", MLPS)
def test_it_is_not_kept_where_it_can_be_made_again(load, tokens_BT, family):
    bank, seen = AdapterBank(load(family)), []
    handle = lively(bank, request("lora"))
    hooks = inputs_of(bank, seen)
    kept, _ = kept_and_gradients(bank, handle, tokens_BT())
    made_again = [x for x in seen if x.untyped_storage().data_ptr() not in kept]
    assert len(made_again) == MLPS[family]
    assert sum(bank.made_again.values()) == MLPS[family]
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("family", ["llama", "neox"])
def test_the_gradient_is_the_one_of_the_kept_input(load, tokens_BT, family):
    bank = AdapterBank(load(family))
    handle = lively(bank, request("lora"))
    _, again = kept_and_gradients(bank, handle, tokens_BT())
    assert all(bank.made_again.values())
    bank.made_again = dict.fromkeys(bank.made_again, False)
    for _, tensor in bank[handle].trained():
        tensor.grad = None
    _, kept = kept_and_gradients(bank, handle, tokens_BT())
    assert all(torch.equal(again[name], kept[name]) for name in kept)


def test_what_another_hook_changes_on_the_way_is_kept(load, tokens_BT):
    bank, seen = AdapterBank(load("llama")), []
    handle = lively(bank, request("lora"))
    bank.module("model.layers.1.mlp.up_proj").register_forward_hook(lambda *given: given[2] * 2)
    inputs_of(bank, seen)
    kept, _ = kept_and_gradients(bank, handle, tokens_BT())
    assert seen[1].untyped_storage().data_ptr() in kept
    assert seen[0].untyped_storage().data_ptr() not in kept


def test_nothing_is_left_in_the_route(load, tokens_BT):
    bank = AdapterBank(load("llama"))
    handle = lively(bank, request("lora"))
    with bank.route([handle] * 2) as route:
        bank.base.model(input_ids=tokens_BT())
        assert [key for key in route.scratch if key[0] == "inner"] == []


def test_layers_before_it_that_are_not_adapted_make_no_difference(load, tokens_BT):
    bank = AdapterBank(load("llama"))
    only = lively(bank, request("lora", targets=["mlp.up", "mlp.down"]))
    kept_and_gradients(bank, only, tokens_BT())
    assert bank.made_again == {}
