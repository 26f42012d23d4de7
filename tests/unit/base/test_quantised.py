"""Linear layers in 8 and 4 bits compute with one weight that can be seen, and never change."""

import copy

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from graftwork.base.discover import linear_shape
from graftwork.base.quantised import QuantisedLinear, dequantise, quantise, scheme_of
from graftwork.base.tensors import digest_of_tensors

SCHEMES = ("int8", "int4")


def layer(scheme, dtype=torch.float64, *, shape=(24, 80), bias=True):
    draw = torch.Generator().manual_seed(0)
    weight_OI = torch.randn(shape, generator=draw).to(dtype)
    bias_O = torch.randn(shape[0], generator=draw).to(dtype) if bias else None
    return weight_OI, QuantisedLinear(weight_OI, bias_O, scheme, flipped=False)


def test_eight_bits_are_off_by_half_a_step_at_most():
    weight_OI, quantised = layer("int8")
    step_O1 = weight_OI.abs().amax(dim=1, keepdim=True) / 127
    assert ((quantised.weight - weight_OI).abs() <= step_O1 / 2 * (1 + 1e-5)).all()


def test_four_bits_are_off_by_half_the_widest_gap_of_their_block_at_most():
    weight_OI, quantised = layer("int4")
    scale_N1 = weight_OI.view(-1, 64).abs().amax(dim=1, keepdim=True)
    off_NB = (quantised.weight - weight_OI).view(-1, 64).abs()
    assert (off_NB <= scale_N1 * (1 - 0.6961928) / 2 * (1 + 1e-5)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(24, 80), (24, 128)])
def test_four_bits_are_those_of_bitsandbytes(dtype, shape):
    functional = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes is not installed")
    weight_OI, quantised = layer("int4", dtype, shape=shape)
    codes, state = functional.quantize_4bit(weight_OI, quant_type="nf4", blocksize=64, compress_statistics=False)
    assert torch.equal(codes.view(-1), quantised.codes.view(-1))
    assert torch.equal(state.absmax, quantised.scales.view(-1))
    if shape[1] % 64 == 0:  # 0.50.2 reads other widths back wrongly on a CPU
        assert torch.equal(functional.dequantize_4bit(codes, state), quantised.weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(24, 80), (7, 9), (1, 1)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_read_back_and_put_into_bits_again_is_the_same(scheme, dtype, shape):
    _, once = layer(scheme, dtype, shape=shape)
    again = QuantisedLinear(once.weight, once.bias, scheme, flipped=False)
    assert torch.equal(again.codes, once.codes)
    torch.testing.assert_close(again.weight, once.weight, rtol=1e-6 if dtype != torch.bfloat16 else 0, atol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_row_of_zeros_stays_zero(scheme):
    quantised = QuantisedLinear(torch.zeros(4, 64), None, scheme, flipped=False)
    assert torch.equal(quantised(torch.ones(1, 64)), torch.zeros(1, 4))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_its_output_and_its_gradient_are_those_of_its_weight(scheme, bias):
    _, quantised = layer(scheme, bias=bias)
    x = torch.randn(2, 5, 80, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.linear(x, quantised.weight, quantised.bias)
    assert torch.equal(quantised(x), expected)
    assert torch.equal(quantised(x.detach()), expected)
    assert torch.autograd.gradcheck(quantised, x)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_backward_keeps_no_wide_weight(scheme):
    _, quantised = layer(scheme)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        quantised(torch.randn(3, 80, dtype=torch.float64, requires_grad=True))
    assert kept == []


@pytest.mark.parametrize(("scheme", "bytes_per_weight"), [("int8", 1.0), ("int4", 0.5)])
def test_it_takes_as_many_bits_as_it_says(scheme, bytes_per_weight):
    _, quantised = layer(scheme)
    assert quantised.codes.numel() * quantised.codes.element_size() == 24 * 80 * bytes_per_weight
    assert quantised.scales.numel() == (24 if scheme == "int8" else 24 * 80 / 64)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_heads_and_routers_stay_as_they_are(scheme):
    model = nn.ModuleDict({"q_proj": nn.Linear(8, 8), "lm_head": nn.Linear(8, 8), "router": nn.Linear(8, 2)})
    quantise(model, scheme)
    assert [type(one).__name__ for one in model.values()] == ["QuantisedLinear", "Linear", "Linear"]
    assert scheme_of(model) == scheme
    assert linear_shape(model["q_proj"]) == (8, 8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_plain_model_made_of_it_computes_the_same(scheme):
    model = nn.ModuleDict({"a": nn.Linear(16, 8), "c_fc": Conv1D(8, 16)}).double().eval()
    x = torch.randn(3, 16, dtype=torch.float64)
    quantise(model, scheme)
    answers = [one(x) for one in model.values()]
    dequantise(model)
    assert [type(one).__name__ for one in model.values()] == ["Linear", "Conv1D"]
    assert scheme_of(model) == "off"
    for one, answer in zip(model.values(), answers, strict=True):
        torch.testing.assert_close(one(x), answer, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_answers_change_no_byte_and_a_copy_is_the_same(scheme):
    _, quantised = layer(scheme, torch.bfloat16)
    before = digest_of_tensors([*quantised.named_parameters(), *quantised.named_buffers()])
    quantised(torch.randn(3, 80, dtype=torch.bfloat16))
    twin = copy.deepcopy(quantised)
    for one in (quantised, twin):
        assert digest_of_tensors([*one.named_parameters(), *one.named_buffers()]) == before
