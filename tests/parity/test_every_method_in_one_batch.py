"""One batch with an adapter of every method and a row of the base: each row is its adapter alone, gradients too."""

import pytest
import torch
from tests.support.methods import leaves, lively, request

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.method import METHODS

NAMES = list(METHODS)


def whole_batch(bank):
    """An adapter of each method, ranks from 1 up, and the base in the middle."""
    handles = []
    for number, name in enumerate(NAMES):
        ranked = {"rank": 1 + 3 * number} if name == "lora" else {}
        handles.append(lively(bank, request(name, **ranked), number))
    return [*handles[: len(handles) // 2], None, *handles[len(handles) // 2 :]]


def test_there_are_nine_methods_and_more():
    assert len(NAMES) >= 9


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-5), ("float64", 1e-11)])
def test_every_row_is_its_adapter_alone(load, logits, base_logits, tokens_BT, family, dtype, within):
    bank = AdapterBank(load(family, dtype))
    rows = whole_batch(bank)
    tokens = tokens_BT(len(rows), 12)
    mixed = logits(bank, tokens, rows)
    for number, row in enumerate(rows):
        alone = logits(bank, tokens[[number]], [row])[0]
        scale = float(alone.abs().max())
        assert float((mixed[number] - alone).abs().max()) / scale < within, row
    base = base_logits(bank.base, tokens)
    assert torch.equal(mixed[rows.index(None)], base[rows.index(None)])
    assert all((mixed[n] - base[n]).abs().max() > 1e-3 for n, row in enumerate(rows) if row is not None)


def gradients(bank, tokens, rows, which):
    """Gradients of all adapters in `rows`, of a loss over the rows in `which`, each row by itself."""
    named = {row: leaves(bank, row) for row in rows if row is not None}
    for tensor in (tensor for params in named.values() for tensor in params.values()):
        tensor.grad = None
    with bank.route(rows):
        out = bank.base.model(input_ids=tokens).logits
        sum(out[number].square().mean() for number in which).backward()
    return {row: {name: t.grad for name, t in params.items()} for row, params in named.items()}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_gradient_is_the_gradient_alone(load, tokens_BT, family):
    bank = AdapterBank(load(family))
    rows = whole_batch(bank)
    tokens = tokens_BT(len(rows), 12)
    mixed = gradients(bank, tokens, rows, range(len(rows)))
    for number, row in enumerate(rows):
        if row is None:
            continue
        alone = gradients(bank, tokens[[number]], [row], [0])[row]
        largest = max(float(gradient.abs().max()) for gradient in alone.values())
        assert largest > 0
        for name, gradient in alone.items():
            assert float((mixed[row][name] - gradient).abs().max()) <= 1e-6 * largest, name


def test_a_row_gives_no_gradient_to_any_other_adapter(load, tokens_BT):
    bank = AdapterBank(load("llama"))
    rows = whole_batch(bank)
    tokens = tokens_BT(len(rows), 12)
    for number, row in enumerate(rows):
        if row is None:
            continue
        found = gradients(bank, tokens, rows, [number])
        for other, named in found.items():
            assert any(g is not None and g.any() for g in named.values()) == (other == row)
