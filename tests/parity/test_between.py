"""What a base computes between its linear layers: the same bits forward, gradients as near to the exact ones."""

import pytest
import torch
from tests.support.tiny_base import FAMILIES
from torch import nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3MLP, Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm, apply_rotary_pos_emb

from graftwork.adapters.bank import AdapterBank
from graftwork.base.between import Between, ways_of
from graftwork.base.between_parts import Gated, Norm, gated_of, norm_of, turning
from graftwork.training.memory import checkpoint_activations, keep_activations

pytest.importorskip("numba")
TYPES = (torch.float32, torch.bfloat16)
EXACT = 2e-6
"""Of float32, as a share of the largest: some roundings of 6e-8 and sums of a few dozen."""


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(function, inputs, dtype, dy):
    """Output and gradients of `function` at `inputs` in `dtype`."""
    leaves = [one.detach().to(dtype).requires_grad_() for one in inputs]
    given = function(*leaves)
    outputs = given if isinstance(given, tuple) else (given,)
    grads = torch.autograd.grad(outputs, leaves, [one.to(dtype) for one in dy])
    return outputs, grads


def compared(light, own, exact, inputs, dtype, dy):
    """Same bits forward; gradients against float64, no further off than torch's own."""
    inputs, dy = ([one.to(dtype) for one in some] for some in (inputs, dy))  # float64 begins at the same numbers
    ours, dours = gradients(light, inputs, dtype, dy)
    its, dits = gradients(own, inputs, dtype, dy)
    _, dexact = gradients(exact, inputs, torch.float64, dy)
    for a, b in zip(ours, its, strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
    for found, torchs, right in zip(dours, dits, dexact, strict=True):
        error, its_error = ((one.double() - right).square().mean().sqrt() for one in (found, torchs))
        assert error <= max(its_error * 1.01, right.abs().max() * EXACT if dtype == torch.float32 else 0)


def norm_like(kind, width, dtype):
    norm = kind(width, eps=1e-5).requires_grad_(False)
    norm.weight.copy_(drawn(width, seed=3))
    return norm.to(dtype)


@pytest.mark.parametrize("size", [1.0, 1e-3, 300.0])
@pytest.mark.parametrize("width", [5, 64, 177])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", [LlamaRMSNorm, Gemma3RMSNorm])
def test_a_norm_has_the_gradient_of_its_formula(kind, dtype, width, size):
    norm = norm_like(kind, width, dtype)
    light = norm_of(norm)
    assert isinstance(light, Norm)
    wide = norm.weight.double() + (1 if kind is Gemma3RMSNorm else 0)

    def exact(x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + light.told[0].double()) * wide

    compared(light, norm.forward, exact, [drawn(2, 7, width) * size], dtype, [drawn(2, 7, width, seed=1)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_gate_has_the_gradients_of_its_formula(load, family, dtype):
    name = {torch.float32: "float32", torch.bfloat16: "bfloat16"}[dtype]
    mlp = next(m for m in load(family, name).model.modules() if isinstance(m, LlamaMLP | Gemma3MLP))
    light = gated_of(mlp)
    assert isinstance(light, Gated)
    mlp.gate_proj, mlp.up_proj, mlp.down_proj = nn.Identity(), Twice(), nn.Identity()
    gate, dy = drawn(9, 50) * 4, drawn(9, 50, seed=1)
    compared(light, mlp.forward, mlp.forward, [gate], dtype, [dy])


class Twice(nn.Module):
    """In place of a projection."""

    def forward(self, x):
        return x * 2 - 1


@pytest.mark.parametrize("dtype", TYPES)
def test_far_from_zero_a_gate_is_open_or_shut(dtype, load):
    name = {torch.float32: "float32", torch.bfloat16: "bfloat16"}[dtype]
    light = gated_of(next(m for m in load("llama", name).model.modules() if isinstance(m, LlamaMLP)))
    light.module.gate_proj, light.module.up_proj, light.module.down_proj = nn.Identity(), nn.Identity(), nn.Identity()
    x = torch.tensor([-1e30, -200.0, -90.0, 0.0, 90.0, 200.0, float("nan")], dtype=dtype).requires_grad_()
    (dx,) = torch.autograd.grad(light(x).sum(), x)
    assert dx[:4].abs().max() < 1e-30, "torch has 0"
    assert torch.allclose(dx[4:6], 2 * x[4:6].detach())
    assert dx[6].isnan()


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_rotation_goes_back_the_other_way_round(dtype, rows):
    cos, sin = drawn(rows, 6, 10, seed=2), drawn(rows, 6, 10, seed=3)

    def angled(rotates):
        return lambda q, k: rotates(q, k, cos.to(q.dtype), sin.to(q.dtype))

    def exact(q, k):
        told = (one.to(dtype).double() for one in (cos, sin))
        return apply_rotary_pos_emb(q, k, *told)

    q, k, dq, dk = (drawn(rows, 6, heads, 10, seed=heads).transpose(1, 2) for heads in (4, 2, 4, 2))
    compared(angled(turning(apply_rotary_pos_emb)), angled(apply_rotary_pos_emb), exact, [q, k], dtype, [dq, dk])


@pytest.mark.parametrize("dtype", TYPES)
def test_a_row_has_the_same_bits_alone_and_with_any_number_of_threads(dtype, load):
    name = {torch.float32: "float32", torch.bfloat16: "bfloat16"}[dtype]
    norm = norm_of(norm_like(LlamaRMSNorm, 67, dtype))
    gated = gated_of(next(m for m in load("llama", name).model.modules() if isinstance(m, LlamaMLP)))
    gated.module.gate_proj, gated.module.up_proj, gated.module.down_proj = nn.Identity(), Twice(), nn.Identity()
    x, dy = drawn(23, 67), drawn(23, 67, seed=1)
    for light in (norm, gated):
        (together,) = gradients(light, [x], dtype, [dy])[1]
        torch.set_num_threads(3)
        try:
            assert torch.equal(gradients(light, [x], dtype, [dy])[1][0], together)
        finally:
            torch.set_num_threads(1)
        for n in (0, 5, 22):
            assert torch.equal(gradients(light, [x[n, None]], dtype, [dy[n, None]])[1][0][0], together[n])


KNOWN = {"llama": (7, 3, 3), "qwen2": (7, 3, 3), "gemma3": (19, 3, 3), "gpt2": (0, 0, 0), "neox": (0, 0, 0)}
"""Norms, MLPs and attention modules with lighter ways in tiny bases of three layers."""


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_known_of_a_base_is_found(load, family):
    found = list(ways_of(load(family, "bfloat16").model).values())
    norms, gates = (sum(isinstance(way, kind) for way in found) for kind in (Norm, Gated))
    assert (norms, gates, len(found) - norms - gates) == KNOWN[family]
    assert not ways_of(load(family, "float64").model), "float64 goes torch's way"


def test_what_only_looks_like_a_norm_is_left_alone():
    class Centred(LlamaRMSNorm):
        def forward(self, hidden_states):
            return super().forward(hidden_states - hidden_states.mean(-1, keepdim=True))

    assert norm_of(norm_like(LlamaRMSNorm, 16, torch.float32)) is not None
    assert norm_of(norm_like(Centred, 16, torch.float32)) is None
    assert norm_of(nn.LayerNorm(16, bias=False)) is None


def passed(bank, handle, tokens):
    """States and the adapter's gradients."""
    leaves = [tensor.requires_grad_() for _, tensor in bank[handle].trained()]
    with bank.route([handle] * len(tokens), training=True):
        hidden_BTH = bank.base.halves.hidden_BTH(tokens)
        return hidden_BTH.detach(), torch.autograd.grad((hidden_BTH * drawn(*hidden_BTH.shape)).sum(), leaves)


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_has_the_same_states_and_like_gradients(load, lively, tokens_BT, family, dtype, recomputes):
    bank = AdapterBank(load(family, dtype))
    handle = lively(bank)
    states, expected = passed(bank, handle, tokens_BT())
    if recomputes:
        checkpoint_activations(bank)
    with bank.host.between.lighter():
        found_states, found = passed(bank, handle, tokens_BT())
    if recomputes:
        keep_activations(bank)
    assert torch.equal(found_states, states)
    near = 5e-5 if dtype == "float32" else 0.15
    for ours, its in zip(found, expected, strict=True):
        assert (ours - its).norm() <= near * its.norm()


def test_outside_the_base_is_as_it_was(load):
    model = load("llama", "bfloat16").model
    between = Between(model)
    with between.lighter():
        assert any("forward" in vars(module) for module in model.modules())
        with between.lighter():
            pass
        assert any("forward" in vars(module) for module in model.modules())
    assert not any("forward" in vars(module) for module in model.modules())


def test_what_another_has_put_in_place_stays(load):
    model = load("llama", "bfloat16").model
    between, own = Between(model), model.model.norm.forward
    with between.lighter():
        pass
    model.model.norm.forward = own
    with between.lighter():
        assert vars(model.model.norm)["forward"] == own
    assert vars(model.model.norm)["forward"] == own


def test_a_norm_that_is_trained_gets_its_gradient(load):
    norm = norm_like(LlamaRMSNorm, 16, torch.float32)
    light = norm_of(norm)
    norm.requires_grad_()
    light(drawn(3, 16).float()).sum().backward()
    assert norm.weight.grad.abs().min() > 0


def test_less_is_kept_for_the_way_back(load, lively, tokens_BT):
    bank = AdapterBank(load("llama", "bfloat16"))
    handle = lively(bank)

    frozen = {p.untyped_storage().data_ptr() for p in bank.base.model.parameters()}

    def kept_bytes():
        kept = {}

        def note(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            passed(bank, handle, tokens_BT(4, 40))
        return sum(size for storage, size in kept.items() if storage not in frozen)

    plain = kept_bytes()
    with bank.host.between.lighter():
        assert kept_bytes() < 0.8 * plain  # 0.73 at the bundled base
