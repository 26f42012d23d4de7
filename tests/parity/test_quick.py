"""Quicker ways of a base that answers: what they give is what the base gives, row by row, and they leave no trace."""

import pytest
import torch
from torch import nn

from graftwork.base import packed as packed_module
from graftwork.base.packed import packed
from graftwork.base.quick import Gate, Norm, quick, ways_of

NEAR = {"bfloat16": 0.05, "float32": 1e-5}
FAMILIES = ["llama", "qwen2", "gemma3", "gpt2"]


def hidden(base, tokens_BT):
    with torch.no_grad():
        return base.halves.hidden_BTH(tokens_BT)


def far(a, b):
    return float((a.float() - b.float()).abs().max() / b.float().abs().max())


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_the_bases_own(load, tokens_BT, family, dtype):
    base, tokens = load(family, dtype), tokens_BT(3, 20)
    own = hidden(base, tokens)
    with quick(base.model), packed(base.model):
        assert far(hidden(base, tokens), own) <= NEAR[dtype]
    assert torch.equal(hidden(base, tokens), own)


def test_what_is_known_of_a_llama_goes_the_quick_way(load):
    base = load("llama", "bfloat16")
    ways = list(ways_of(base.model).values())
    num_layers = base.facts.num_layers
    assert sum(isinstance(way, Norm) for way in ways) == 2 * num_layers + 1
    assert sum(isinstance(way, Gate) for way in ways) == num_layers
    assert len(ways) == 4 * num_layers + 1
    with packed(base.model) as num_bytes:
        linear = [module for module in base.model.modules() if type(module) is nn.Linear]
        assert num_bytes == sum(module.weight.nbytes for module in linear)
        assert all("forward" in vars(module) for module in linear)


@pytest.mark.parametrize("dtype", NEAR)
def test_a_token_does_not_depend_on_how_many_there_are(load, dtype):
    base = load("llama", dtype)
    layer = base.model.model.layers[0]
    x_NH = torch.randn(300, base.facts.hidden_size, generator=torch.Generator().manual_seed(0)).to(base.model.dtype)
    with torch.no_grad(), quick(base.model):
        whole = layer.input_layernorm(x_NH)
        for num in (1, 2, 3, 17, 64):
            assert torch.equal(layer.input_layernorm(x_NH[:num]), whole[:num])
            assert torch.equal(layer.input_layernorm(x_NH[5 : 5 + num]), whole[5 : 5 + num])


def test_gradients_go_the_bases_own_way(load, tokens_BT):
    base = load("llama", "bfloat16")
    embedded = base.model.get_input_embeddings()(tokens_BT(2, 9)).detach().requires_grad_()

    def gradient():
        base.model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state.square().mean().backward()
        found, embedded.grad = embedded.grad, None
        return found

    own = gradient()
    with quick(base.model), packed(base.model):
        assert torch.equal(gradient(), own)


def test_a_norm_of_another_formula_goes_its_own_way():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.eps = nn.Parameter(torch.ones(32), requires_grad=False), 1e-5

        def forward(self, x):
            return x / (x.abs().mean(-1, keepdim=True) + self.eps) * self.weight

    assert ways_of(nn.Sequential(Other())) == {}


def test_a_packed_product_that_gives_something_else_is_not_taken(load, monkeypatch):
    base = load("llama", "bfloat16")
    monkeypatch.setattr(
        packed_module, "_answer", lambda module, weight, product, x: x.new_zeros(len(x), len(module.weight))
    )
    with packed(base.model) as num_bytes:
        assert num_bytes == 0
