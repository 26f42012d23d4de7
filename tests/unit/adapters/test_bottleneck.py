"""Bottleneck adapters compute their formula where they are asked to."""

import pytest
import torch
from tests.support.methods import lively, request
from torch.nn import functional

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.core.errors import SpecError

CURVES = {"gelu": functional.gelu, "relu": torch.relu, "silu": functional.silu, "tanh": torch.tanh}


def by_hand(spec, params, entry, left):
    read = entry if spec.placement == "parallel" else left
    narrow = CURVES[spec.activation](read @ params["down_SH"].T + params["down_bias_S"])
    return left + spec.scale * (narrow @ params["up_HS"].T + params["up_bias_H"])


@pytest.mark.parametrize("activation", CURVES)
@pytest.mark.parametrize("placement", ["serial", "parallel"])
def test_the_logits_are_those_of_the_formula_written_into_the_model(placement, activation, load, tokens_BT, logits):
    bank, other = AdapterBank(load()), load()
    asked = {"placement": placement, "activation": activation, "scale": 2.5, "bottleneck_features": 5}
    handle = lively(bank, request("bottleneck", **asked))
    for here in bank[handle].placed.values():
        module = other.model.get_submodule(here.place.name)
        module.forward = written_in(module, here)
    with torch.no_grad():
        expected = other.model(input_ids=tokens_BT()).logits
    torch.testing.assert_close(logits(bank, tokens_BT(), [handle] * 2), expected, rtol=1e-12, atol=1e-12)


def written_in(module, here):
    plain = module.forward

    def forward(*args, **kwargs):
        entry = args[0] if args else kwargs["hidden_states"]
        left = plain(*args, **kwargs)
        if isinstance(left, tuple):
            return by_hand(here.spec, here.params, entry, left[0]), *left[1:]
        return by_hand(here.spec, here.params, entry, left)

    return forward


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma3", "mixtral"])
def test_by_default_it_is_after_both_sublayers_of_every_layer(family, load):
    bank = AdapterBank(load(family))
    placed = bank[bank.fresh(request("bottleneck"), seed=0)].placed.values()
    assert [(here.place.layer, here.place.role) for here in placed] == [
        (layer, role) for layer in range(3) for role in ("attention", "mlp")
    ]


def test_after_the_mlp_alone_in_chosen_layers(bank):
    placed = bank[bank.fresh(request("bottleneck", after=["mlp"], layers=[-1]), seed=0)].placed
    assert list(placed) == ["model.layers.2.mlp"]


def test_a_sublayer_that_the_base_has_not_is_refused(bank):
    with pytest.raises(SpecError, match=r"adapter\.after = 'cross_attention': expected a sub-layer of this base"):
        bank.fresh(request("bottleneck", after=["cross_attention"]), seed=0)


def test_it_may_be_wider_than_the_sublayer(bank, tokens_BT, logits, base_logits):
    handle = bank.fresh(request("bottleneck", bottleneck_features=100), seed=0)
    assert torch.equal(logits(bank, tokens_BT(), [handle] * 2), base_logits(bank.base, tokens_BT()))


def test_it_acts_on_fused_experts_as_a_whole(load, tokens_BT, logits, base_logits):
    bank = AdapterBank(load("mixtral"))
    handle = lively(bank, request("bottleneck", after=["mlp"]))
    tokens = tokens_BT(3)
    mixed = logits(bank, tokens, [handle, None, handle])
    torch.testing.assert_close(mixed[1:2], base_logits(bank.base, tokens[1:2]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixed[[0, 2]], logits(bank, tokens[[0, 2]], [handle] * 2), rtol=1e-9, atol=1e-9)
    assert (mixed[0] - base_logits(bank.base, tokens[:1])[0]).abs().max() > 1e-3


def test_it_sees_the_input_with_the_gains_on_it_whatever_was_put_in_first(load, tokens_BT, logits):
    gains = {"method": "ia3", "targets": ["attention"], "feedforward": ["attention"]}
    beside = {"method": "bottleneck", "placement": "parallel", "after": ["attention"]}
    spec, found = parse_adapter_spec({"method": "combined", "parts": [gains, beside]}), []
    for before in ([], [beside], [gains]):
        bank = AdapterBank(load())
        for asked in before:
            bank.fresh(parse_adapter_spec(asked), seed=0)
        found.append(logits(bank, tokens_BT(), [lively(bank, spec, 1)] * 2))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_gains_of_another_bank_reach_it_whichever_bank_was_first(load, tokens_BT, logits):
    specs = {
        "gains": request("ia3", targets=["attention"], feedforward=["attention"]),
        "beside": request("bottleneck", placement="parallel"),
    }
    found = []
    for order in (["gains", "beside"], ["beside", "gains"]):
        base = load()
        banks = {name: AdapterBank(base) for name in specs}
        rows = {name: [lively(banks[name], specs[name], seed=5)] * 2 for name in order}
        with banks["gains"].route(rows["gains"]):
            found.append(logits(banks["beside"], tokens_BT(), rows["beside"]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
