"""LoRA of an expert's own: how it starts, and what happens where experts are a list of layers."""

import pytest
import torch
from tests.support.methods import lively, request
from tests.support.tiny_base import make_other

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.merge import merged_model
from graftwork.adapters.route import Route, Segment
from graftwork.base.any_model import wrapped
from graftwork.core.errors import SpecError, WorkError

CLOSE = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture
def switch():
    return AdapterBank(wrapped(make_other("switch"), ref="tiny switch"))


@pytest.fixture
def inputs():
    draw = torch.Generator().manual_seed(3)
    return {
        "input_ids": torch.randint(3, 60, (3, 9), generator=draw),
        "decoder_input_ids": torch.randint(3, 60, (3, 7), generator=draw),
    }


def logits_of(bank, rows, inputs):
    with torch.no_grad(), bank.route(rows):
        return bank.host.model(**inputs).logits


@pytest.mark.parametrize("init", ["kaiming_uniform", "orthogonal", "gaussian", "xavier_uniform"])
def test_every_expert_starts_with_a_draw_of_its_own(load, init):
    bank = AdapterBank(load("mixtral"))
    adapter = bank[bank.fresh(request("lora", init=init, targets=["experts"], rank=8), seed=1)]
    for here in adapter.placed.values():
        a_ERI, b_EOR = here.params["a_ERI"], here.params["b_EOR"]
        assert not b_EOR.any()
        assert len({tuple(a_RI.flatten().tolist()) for a_RI in a_ERI}) == len(a_ERI) == 4
        if init == "kaiming_uniform":
            assert a_ERI.abs().max() <= here.place.in_features**-0.5
        if init == "orthogonal":
            expected = torch.eye(4, dtype=a_ERI.dtype).expand(4, 4, 4)
            torch.testing.assert_close(a_ERI @ a_ERI.mT, expected, rtol=1e-6, atol=1e-6)


def test_it_counts_the_numbers_of_all_experts(load):
    bank = AdapterBank(load("mixtral"))
    adapter = bank[bank.fresh(request("lora", targets=["experts.down"], rank=8), seed=1)]
    assert adapter.num_params == 3 * 4 * 4 * (48 + 32)  # layers, experts, rank of each, in + out


def test_a_list_of_experts_is_adapted_where_one_adapter_answers_for_the_whole_batch(switch, inputs):
    handle = lively(switch, request("lora"))
    assert {p.place.role for p in switch[handle].placed.values()} >= {"experts.up", "experts.down", "attention.out"}
    found = logits_of(switch, [handle] * 3, inputs)
    with torch.no_grad():
        merged = merged_model(switch.host.model, switch[handle])(**inputs).logits
        base = switch.host.model(**inputs).logits
    torch.testing.assert_close(found, merged, **CLOSE)
    assert (found - base).abs().max() > 0.1


def test_its_experts_learn_from_the_tokens_sent_to_them(switch, inputs):
    handle = lively(switch, request("lora", targets=["experts"]))
    params = {name: tensor.requires_grad_() for name, tensor in switch[handle].trained()}
    with switch.route([handle] * 3, training=True):
        switch.host.model(**inputs).logits.square().mean().backward()
    assert any(tensor.grad is not None and tensor.grad.any() for tensor in params.values())


def test_a_mixed_batch_is_refused_there_before_anything_is_computed(switch, inputs):
    handle, seen = lively(switch, request("lora")), []
    switch.host.model.register_forward_pre_hook(lambda *_: seen.append(1))
    for rows in ([handle, None, None], [None, handle, handle], [handle, (handle, lively(switch, request("lora"), 2))]):
        with pytest.raises(WorkError, match=r"experts\.expert_0\.w. is one of a list of experts and cannot tell whose"):
            logits_of(switch, rows, inputs)
    with pytest.raises(WorkError, match="answers for a whole batch"), switch.route_tokens([(handle, 4), (None, 5)]):
        pass
    assert seen == []


def test_a_mixed_batch_of_adapters_that_leave_the_experts_alone_is_fine(switch, inputs):
    a, b = (lively(switch, request("lora", targets=["attention", "mlp"]), seed) for seed in (1, 2))
    mixed = logits_of(switch, [a, None, b], inputs)
    for row, handle in enumerate((a, None, b)):
        alone = logits_of(switch, [handle], {name: tokens[row : row + 1] for name, tokens in inputs.items()})
        torch.testing.assert_close(mixed[row : row + 1], alone, **CLOSE)


def test_a_model_without_a_tokenizer_does_not_pass_for_one_that_speaks(switch):
    with pytest.raises(SpecError, match="a language model loaded with its tokenizer"):
        _ = switch.base


@pytest.mark.parametrize(("shape", "per_unit"), [((2, 5, 8), 5), ((8, 5, 8), 20), ((7, 2, 8), 7), ((10, 8), 5)])
def test_rows_of_one_owner_may_be_cut_into_windows_or_lie_second(shape, per_unit):
    assert Route([Segment(0, 2, ())], unit="rows", training=False).tokens_per_unit(shape, "a layer") == per_unit


@pytest.mark.parametrize("shape", [(8, 5, 8), (7, 2, 8), (3, 2, 8), (1, 6, 8)])
def test_rows_of_several_owners_may_not(shape, load):
    bank = AdapterBank(load())
    owner = (bank[lively(bank, request("lora"))],)
    route = Route([Segment(0, 1, ()), Segment(1, 2, owner)], unit="rows", training=False)
    with pytest.raises(WorkError, match="the route has 2 rows"):
        route.tokens_per_unit(shape, "a layer")


@pytest.mark.parametrize("method", ["lora", "dora", "ia3"])
@pytest.mark.parametrize("length", [1, 5, 7])
def test_gathered_tokens_are_answered_as_they_are_trained(switch, method, length):
    options = {"feedforward": []} if method == "ia3" else {}
    handle, draw = lively(switch, request(method, targets=["experts"], **options)), torch.Generator().manual_seed(4)
    names = ("input_ids", "decoder_input_ids")
    inputs = {name: torch.randint(3, 60, (3, length), generator=draw) for name in names}
    with switch.route([handle] * 3):
        expected = switch.host.model(**inputs).logits
    torch.testing.assert_close(logits_of(switch, [handle] * 3, inputs), expected, **CLOSE)
