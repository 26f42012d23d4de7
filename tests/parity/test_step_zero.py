"""Before its first step an adapter is the base, bit for bit, in every family and type."""

import pytest
import torch
from tests.support.tiny_base import FAMILIES

from graftwork.adapters.bank import AdapterBank


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_adapter_gives_the_logits_of_the_base(load, lora, logits, base_logits, tokens_BT, family, dtype):
    base = load(family, dtype)
    expected = base_logits(base, tokens_BT())
    bank = AdapterBank(base)
    fresh = bank.fresh(lora(rank=8), seed=1)
    assert {p.role for p in base.facts.places} - {"head"} == {h.place.role for h in bank[fresh].placed.values()}
    for rows in ([fresh, fresh], [fresh, None], [None, fresh]):
        assert torch.equal(logits(bank, tokens_BT(), rows), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lively_adapter_gives_others(load, lively, logits, base_logits, tokens_BT, family):
    base = load(family)
    bank = AdapterBank(base)
    difference = logits(bank, tokens_BT(), [lively(bank)] * 2) - base_logits(base, tokens_BT())
    assert difference.abs().amax(dim=(1, 2)).min() > 0.1


@pytest.mark.parametrize("init", ["kaiming_uniform", "orthogonal", "gaussian", "xavier_uniform"])
def test_every_start_keeps_the_base(load, lora, logits, base_logits, tokens_BT, init):
    bank = AdapterBank(load())
    fresh = bank.fresh(lora(init=init), seed=0)
    assert torch.equal(logits(bank, tokens_BT(), [fresh] * 2), base_logits(bank.base, tokens_BT()))
