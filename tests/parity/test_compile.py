"""A compiled part of the base answers as the one that is not compiled, whatever is routed, whenever it was compiled."""

import pytest
import torch

from graftwork.adapters.bank import AdapterBank

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def bank(load):
    return AdapterBank(load())


@pytest.fixture
def part(bank):
    """What is compiled: large enough to have several adapted layers, small enough to be traced in a second."""
    return bank.base.model.model.layers[1].mlp


@pytest.fixture
def compiled(part):
    """Traced as for a compiler, run without one: no C++ is built."""
    torch.compiler.reset()
    yield torch.compile(part, backend="eager")
    torch.compiler.reset()


@pytest.fixture
def x_BTH():
    return torch.randn(2, 5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def answer(module, bank, x_BTH, rows):
    with torch.no_grad(), bank.route(rows):
        return module(x_BTH)


def test_each_route_is_answered_with_adapters_there_before_compiling(bank, part, compiled, lively, x_BTH):
    a, b = lively(bank, 1), lively(bank, 2, rank=3)
    for rows in ([a, a], [b, b], [a, None], [None, None]):
        torch.testing.assert_close(answer(compiled, bank, x_BTH, rows), answer(part, bank, x_BTH, rows), **CLOSE)


def test_an_adapter_put_in_after_compiling_answers_and_one_taken_out_does_not(bank, part, compiled, lively, x_BTH):
    with torch.no_grad():
        base = compiled(x_BTH)
    handle = lively(bank, 1)
    found = answer(compiled, bank, x_BTH, [handle] * 2)
    torch.testing.assert_close(found, answer(part, bank, x_BTH, [handle] * 2), **CLOSE)
    assert (found - base).abs().max() > 1e-3
    bank.remove(handle)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x_BTH), base, **CLOSE)


def test_training_through_it_gives_the_same_gradient(bank, part, compiled, lively, x_BTH):
    handle = lively(bank, 1)
    leaves = [tensor.requires_grad_() for name, tensor in bank[handle].tensors() if "layers.1.mlp" in name]
    found = []
    for module in (part, compiled):
        with bank.route([handle] * 2, training=True):
            found.append(torch.autograd.grad(module(x_BTH).square().mean(), leaves))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
