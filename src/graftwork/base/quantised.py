"""Linear layers of a frozen base kept in 8 or 4 bits. What they compute with is their codes, read back as numbers.

    int8: w = code * s,  s = max |w| / 127 over one output's weights
    int4: w = NF4[code] * s,  s = max |w| over 64 weights that lie one after another; two codes a byte

A layer reads its weight back each time it is used, forward and again backward, and keeps neither. So what it computes
is `x @ weight.T` for one weight that can be seen: norms, decompositions and merges are made of exactly that weight, its
bytes never change, and a row's answer does not depend on the rows beside it. Heads, routers, embeddings and the fused
weights of experts stay as they are.

Source: NF4 and its blocks: Dettmers et al. 2023, section 3 and appendix E, https://arxiv.org/abs/2305.14314.
Departs from it: the scales stay in float32 and are not quantised again (4.5 bits a weight, not 4.1).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, pad
from transformers.pytorch_utils import Conv1D

from graftwork.base.facts import Quantised
from graftwork.base.roles import role_of

UNTOUCHED = ("head", "router")
"""Roles of layers that stay as they are: small errors there change which token or expert comes first."""

BLOCK = 64
"""Weights that share a scale in 4 bits."""

NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""What the sixteen codes of 4 bits stand for: numbers at which weights of a normal distribution lie equally often."""


class QuantisedLinear(nn.Module):
    """A frozen linear layer in 8 or 4 bits.

    Attributes:
        dtype: what the weight is read back as.
        flipped: whether it stands for GPT-2's layer, whose weight is stored (in, out).
    """

    codes: Tensor
    scales: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None, scheme: Quantised, *, flipped: bool) -> None:
        super().__init__()
        self.out_features, self.in_features = weight_OI.shape
        self.scheme, self.dtype, self.flipped = scheme, weight_OI.dtype, flipped
        codes, scales = _coded(weight_OI.detach().float(), scheme)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.bias = None if bias_O is None else nn.Parameter(bias_O.detach().clone(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """weight_OI as it is computed with; a new tensor each time."""
        read = _read_int8(self.codes) if self.scheme == "int8" else _read_int4(self.codes)
        weight = (read * self.scales).to(self.dtype)
        return weight.reshape(-1)[: self.out_features * self.in_features].view(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """x @ weight.T + bias."""
        if torch.is_grad_enabled() and x.requires_grad:
            y: Tensor = _Product.apply(x, self)
            return y
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """For printing."""
        return f"in_features={self.in_features}, out_features={self.out_features}, scheme={self.scheme}"


class _Product(torch.autograd.Function):
    """The layer's output; backward reads the weight again, so that none is kept between the two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer, ctx.dtype = layer, x.dtype
        return linear(x, layer.weight, layer.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return (dy @ ctx.layer.weight.to(dy.dtype)).to(ctx.dtype), None


def quantise(model: nn.Module, scheme: Quantised) -> None:
    """Put the linear layers of `model` into 8 or 4 bits, in place. A second time changes nothing."""
    if scheme == "off":
        return
    for name, module in list(model.named_modules()):
        if isinstance(module, (nn.Linear, Conv1D)) and role_of(name) not in UNTOUCHED:
            flipped = isinstance(module, Conv1D)
            weight_OI = module.weight.T if flipped else module.weight
            _put(model, name, QuantisedLinear(weight_OI, module.bias, scheme, flipped=flipped))


def dequantise(model: nn.Module) -> None:
    """Put plain layers, with the weights that are computed with, where `model` has layers in 8 or 4 bits, in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, QuantisedLinear):
            _put(model, name, _plain(module))


def scheme_of(model: nn.Module) -> Quantised:
    """How the linear layers of `model` are kept."""
    return next((module.scheme for module in model.modules() if isinstance(module, QuantisedLinear)), "off")


def _plain(layer: QuantisedLinear) -> nn.Module:
    weight_OI, on = layer.weight, layer.codes.device
    made: Any
    if layer.flipped:
        made = Conv1D(layer.out_features, layer.in_features).to(on)
        weight = weight_OI.T.contiguous()
    else:
        made = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device=on)
        weight = weight_OI
    made.weight = nn.Parameter(weight, requires_grad=False)
    made.bias = layer.bias
    return made.train(layer.training)  # type: ignore[no-any-return]


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    holder, _, leaf = name.rpartition(".")
    module.train(model.training)
    setattr(model.get_submodule(holder), leaf, module)


def _coded(weight_OI: Tensor, scheme: Quantised) -> tuple[Tensor, Tensor]:
    """Codes and scales. Weights that are all zero have a scale of one."""
    if scheme == "int8":
        scale_O1 = _not_zero(weight_OI.abs().amax(dim=1, keepdim=True) / 127)
        return (weight_OI / scale_O1).round().clamp(-127, 127).to(torch.int8), scale_O1
    flat = weight_OI.reshape(-1)
    weight_NB = pad(flat, (0, -flat.numel() % BLOCK)).view(-1, BLOCK)
    scale_N1 = _not_zero(weight_NB.abs().amax(dim=1, keepdim=True))
    levels = torch.tensor(NF4, device=flat.device)
    codes = torch.bucketize(weight_NB / scale_N1, (levels[1:] + levels[:-1]) / 2).to(torch.uint8).view(-1, 2)
    return (codes[:, 0] * 16 + codes[:, 1]).view(-1, BLOCK // 2), scale_N1


def _not_zero(scale: Tensor) -> Tensor:
    return scale.masked_fill(scale == 0, 1.0)


def _read_int8(codes_OI: Tensor) -> Tensor:
    return codes_OI.float()


def _read_int4(codes_NC: Tensor) -> Tensor:
    """Two numbers a byte, looked up as one of 64 bits: one look-up a pair is several times as fast as one a number."""
    pairs = _pairs(codes_NC.device).index_select(0, codes_NC.reshape(-1).int())
    return pairs.view(torch.float32).view(-1, BLOCK)


@cache
def _pairs(device: torch.device) -> Tensor:
    """What each byte stands for, two float32 numbers as one int64."""
    byte = torch.arange(256, device=device)
    levels = torch.tensor(NF4, device=device)
    return torch.stack([levels[byte // 16], levels[byte % 16]], dim=1).view(torch.int64).view(-1)
