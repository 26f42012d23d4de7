"""LoRA at every layer of bases of all kinds: it starts as the base, learns, and comes back from its folder."""

import pytest
import torch
from tests.support.methods import leaves, lively, request
from tests.support.tiny_base import WITH_EXPERTS, make_other
from torch.nn.functional import cross_entropy

from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.files import read_adapter, write_adapter
from graftwork.adapters.merge import merged_model
from graftwork.base.any_model import wrapped
from graftwork.core.errors import IntegrityError, SpecError

LANGUAGE = ("gpt2", "neox", "gemma3", *WITH_EXPERTS)
OTHER = ("vit", "whisper")
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def inputs_of(kind, rows=4):
    """What the model is given, and the labels it should learn, one a position."""
    draw = torch.Generator().manual_seed(5)

    def ids(*shape, high=60):
        return torch.randint(3, high, shape, generator=draw)

    def numbers(*shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    if kind == "vit":
        return {"pixel_values": numbers(rows, 3, 16, 16)}, ids(rows, high=5) % 5
    if kind == "whisper":
        tokens = ids(rows, 8)
        return {"input_features": numbers(rows, 8, 40), "decoder_input_ids": tokens[:, :-1]}, tokens[:, 1:]
    tokens = ids(rows, 10, high=250)
    return {"input_ids": tokens[:, :-1]}, tokens[:, 1:]


@pytest.fixture
def host_of(load):
    """`host_of(kind)`: a tiny base of that kind in float64, a language model or not."""
    return lambda kind: wrapped(make_other(kind), ref=f"tiny {kind}") if kind in OTHER else load(kind)


def logits_of(bank, rows, inputs):
    with torch.no_grad(), bank.route(rows):
        return bank.host.model(**inputs).logits


def train(bank, handle, inputs, labels, num_steps=5, rate=0.01):
    """Plain gradient descent; the loss before each step and after the last."""
    params, losses = leaves(bank, handle), []
    for step in range(num_steps + 1):
        with bank.route([handle] * len(labels), training=True):
            loss = cross_entropy(bank.host.model(**inputs).logits.flatten(0, -2), labels.flatten())
            losses.append(loss.item())
            if step < num_steps:
                loss.backward()
        with torch.no_grad():
            for tensor in params.values():
                if tensor.grad is not None:
                    tensor.sub_(rate * tensor.grad)
                tensor.grad = None
    return losses


@pytest.mark.parametrize("kind", [*LANGUAGE, *OTHER])
def test_it_starts_as_the_base_learns_and_comes_back(host_of, tmp_path, kind):
    host = host_of(kind)
    bank, (inputs, labels) = AdapterBank(host), inputs_of(kind)
    with torch.no_grad():
        base = host.model(**inputs).logits
    handle = bank.fresh(request("lora", targets=["all"]), seed=1)
    assert torch.equal(logits_of(bank, [handle] * 4, inputs), base)
    losses = train(bank, handle, inputs, labels)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1e-3
    learned = logits_of(bank, [handle] * 4, inputs)
    write_adapter(tmp_path / "learned", bank[handle], host, {})
    bank.remove(handle)
    assert torch.equal(host.model(**inputs).logits.detach(), base)
    again = AdapterBank(host_of(kind)).load(tmp_path / "learned")
    assert again.name == "learned"
    assert torch.equal(logits_of(bank, [bank.load(tmp_path / "learned")] * 4, inputs), learned)


@pytest.mark.parametrize("kind", OTHER)
def test_each_row_of_a_mixed_batch_is_its_adapter_alone(host_of, kind):
    bank, (inputs, _) = AdapterBank(host_of(kind)), inputs_of(kind)
    a, b = lively(bank, request("lora"), 1), lively(bank, request("lora"), 2)
    mixed = logits_of(bank, [a, None, b, (a, b)], inputs)
    for row, owner in enumerate((a, None, b, (a, b))):
        alone = logits_of(bank, [owner], {name: given[row : row + 1] for name, given in inputs.items()})
        torch.testing.assert_close(mixed[row : row + 1], alone, **CLOSE)
    assert (mixed[0] - mixed[1]).abs().max() > 0.01


@pytest.mark.parametrize("kind", OTHER)
def test_merged_is_applied(host_of, kind):
    bank, (inputs, _) = AdapterBank(host_of(kind)), inputs_of(kind)
    handle = lively(bank, request("lora"))
    with torch.no_grad():
        merged = merged_model(bank.host.model, bank[handle])(**inputs).logits
    torch.testing.assert_close(merged, logits_of(bank, [handle] * 4, inputs), **CLOSE)


@pytest.mark.parametrize("kind", OTHER)
def test_an_adapter_is_refused_on_other_weights_of_the_same_form(tmp_path, kind):
    bank = AdapterBank(wrapped(make_other(kind), ref="first"))
    write_adapter(tmp_path / "saved", bank[bank.fresh(request("lora"), seed=1)], bank.host, {})
    with pytest.raises(IntegrityError, match="they differ in weights"):
        read_adapter(tmp_path / "saved", wrapped(make_other(kind, seed=1), ref="second"))
    assert read_adapter(tmp_path / "saved", wrapped(make_other(kind), ref="renamed")).card is not None


@pytest.mark.parametrize("kind", OTHER)
def test_it_is_frozen_and_has_no_tokens_in_front(host_of, kind):
    host = host_of(kind)
    assert not any(parameter.requires_grad for parameter in host.model.parameters())
    assert not host.model.training
    assert not host.facts.is_causal
    assert host.device == torch.device("cpu")


def test_a_model_whose_form_is_unknown_is_refused():
    from transformers import ResNetConfig, ResNetModel

    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    with pytest.raises(SpecError, match="whose config tells its hidden size"):
        wrapped(model, ref="convolutions")
