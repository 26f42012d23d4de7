"""The parts of `base.between`: how each is recognised, and its two passes.

Legend: B rows, T tokens, K heads, D head size, H features; X stands for all but the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TYPES = (torch.bfloat16, torch.float32)
NEAR = {torch.bfloat16: 0.03, torch.float32: 1e-4}
"""Difference, as a share of the largest, that another order of the same operations may bring; other formulas differ by
more than a tenth."""
FEATURE_NAMES = "gate_proj", "up_proj", "down_proj", "act_fn"
ACTIVATIONS = (1.0, 0.0), (2 * (2 / torch.pi) ** 0.5, 0.044715)
"""c and b of v(u) = c (u + b u^3): of SiLU, and of GELU by tanh."""
ROTATES = "apply_rotary_pos_emb"
"""What attention modules of `transformers` call their rotation."""


def asks(*tensors: Tensor) -> bool:
    """Whether they lie here in one of the types that the loops know, and a gradient of one of them is wanted."""
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    first = tensors[0]
    same = all(t.dtype == first.dtype and t.device.type == "cpu" for t in tensors)
    return wanted and same and first.dtype in TYPES


Asks = Callable[..., bool]


@dataclass(frozen=True, eq=False, slots=True)
class Norm:
    """A norm by the root of the mean square.

    Attributes:
        told: epsilon, and what is added to the weight.
    """

    module: nn.Module
    own: Callable[[Tensor], Tensor]
    told: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """In place of the module's `forward`."""
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        if weight.requires_grad or not asks(x, weight):
            return self.own(x)
        y: Tensor = _Norm.apply(x, weight, self)
        return y


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_XH: Tensor, gain_H: Tensor, norm: Norm) -> Tensor:
        ctx.save_for_backward(x_XH, gain_H)
        ctx.told = norm.told
        return norm.own(x_XH)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_XH: Tensor) -> tuple[Tensor, None, None]:
        from graftwork.base.between_loops import norm_back
        from graftwork.base.compiled import on_all_threads

        x_XH, gain_H = (one.contiguous() for one in ctx.saved_tensors)
        dy_XH, dx_XH = dy_XH.contiguous(), torch.empty_like(x_XH)
        given = (x_XH, dy_XH, gain_H, dx_XH, ctx.told)
        num_features = x_XH.shape[-1]
        on_all_threads(norm_back[x_XH.dtype], *_addresses(given), x_XH.numel() // num_features, num_features)
        return dx_XH, None, None


@dataclass(frozen=True, eq=False, slots=True)
class Gated:
    """An MLP with a gate.

    Attributes:
        told: c and b of its activation.
    """

    module: nn.Module
    own: Callable[[Tensor], Tensor]
    told: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """In place of the module's `forward`."""
        here: Any = self.module
        gate, up = here.gate_proj(x), here.up_proj(x)
        inner = _Gated.apply(gate, up, self) if asks(gate, up) else here.act_fn(gate) * up
        y: Tensor = here.down_proj(inner)
        return y


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, gated: Gated) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.told = gated.told
        here: Any = gated.module
        inner: Tensor = here.act_fn(gate) * up
        return inner

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        from graftwork.base.between_loops import gated_back
        from graftwork.base.compiled import on_all_threads

        gate, up, dy = (one.contiguous() for one in (*ctx.saved_tensors, dy))
        dgate, dup = torch.empty_like(gate), torch.empty_like(up)
        on_all_threads(gated_back[gate.dtype], *_addresses((gate, up, dy, dgate, dup, ctx.told)), gate.numel())
        return dgate, dup, None


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BKTD: Tensor, k_BKTD: Tensor, cos_BTD: Tensor, sin_BTD: Tensor) -> tuple[Tensor, Tensor]:
        from graftwork.base.between_loops import turn

        cos_BTD, sin_BTD = cos_BTD.contiguous(), sin_BTD.contiguous()
        ctx.save_for_backward(cos_BTD, sin_BTD)
        loop = turn[q_BKTD.dtype]
        return _passed(loop, q_BKTD, cos_BTD, sin_BTD), _passed(loop, k_BKTD, cos_BTD, sin_BTD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq_BKTD: Tensor, dk_BKTD: Tensor) -> tuple[Tensor, Tensor, None, None]:
        from graftwork.base.between_loops import turn_back

        loop, (cos_BTD, sin_BTD) = turn_back[dq_BKTD.dtype], ctx.saved_tensors
        return _passed(loop, dq_BKTD, cos_BTD, sin_BTD), _passed(loop, dk_BKTD, cos_BTD, sin_BTD), None, None


def _passed(loop: Any, x_BKTD: Tensor, cos_BTD: Tensor, sin_BTD: Tensor) -> Tensor:
    """Through a loop over tokens; heads of a token lie together, as projections give them."""
    from graftwork.base.compiled import on_all_threads

    x_BTKD = x_BKTD.transpose(1, 2).contiguous()
    y_BTKD = torch.empty_like(x_BTKD)
    rows, tokens, heads, size = x_BTKD.shape
    sizes = rows * tokens, heads, size, cos_BTD.numel() // size  # angles may be of one row, for all alike
    on_all_threads(loop, *_addresses((x_BTKD, cos_BTD, sin_BTD, y_BTKD)), *sizes)
    return y_BTKD.transpose(1, 2)


def _addresses(tensors: tuple[Tensor, ...]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


def turning(own: Callable[..., tuple[Tensor, Tensor]], asks: Asks = asks) -> Callable[..., tuple[Tensor, Tensor]]:
    """The rotation `own` of queries and keys, by one node where it can be and `asks` says so."""

    def turned(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *rest: Any, **named: Any) -> tuple[Tensor, Tensor]:
        if rest or named or not _turns(q, k, cos, sin, asks):
            return own(q, k, cos, sin, *rest, **named)
        if not torch.is_grad_enabled():
            from graftwork.base.between_loops import turn

            angles = cos.contiguous(), sin.contiguous()
            return _passed(turn[q.dtype], q, *angles), _passed(turn[q.dtype], k, *angles)
        both: tuple[Tensor, Tensor] = _Turned.apply(q, k, cos, sin)
        return both

    return turned


def _turns(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, asks: Asks) -> bool:
    is_usual = q.ndim == k.ndim == 4 and cos.shape == sin.shape and cos.shape[1:] == (q.shape[2], q.shape[3])
    whole = is_usual and k.shape[2:] == q.shape[2:] and q.shape[3] % 2 == 0 and cos.shape[0] in (1, q.shape[0])
    return whole and not (cos.requires_grad or sin.requires_grad) and asks(q, k, cos, sin)


def norm_of(module: nn.Module) -> Norm | None:
    """The lighter way of a module that is a norm by the root of the mean square; None of any other."""
    weight: Any = getattr(module, "weight", None)
    eps: Any = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    is_like = isinstance(weight, Tensor) and weight.ndim == 1 and isinstance(eps, float)
    if not is_like or len([*module.parameters(), *module.buffers()]) != 1 or weight.dtype not in TYPES:
        return None
    tried = [_some((3, len(weight)), weight.dtype) * size for size in (1, eps**0.5)]
    for offset in (0.0, 1.0):
        norm = Norm(module, module.forward, torch.tensor([eps, offset]))

        def light(x: Tensor, norm: Norm = norm) -> Tensor:
            y: Tensor = _Norm.apply(x, weight.detach(), norm)
            return y

        if all(_is_near(light, module.forward, x) for x in tried):
            return norm
    return None


def gated_of(module: nn.Module) -> Gated | None:
    """The lighter way of an MLP with gate, up, down and a known activation; None of any other module."""
    if {name for name, _ in module.named_children()} != {*FEATURE_NAMES} or list(module.parameters(recurse=False)):
        return None
    here: Any = module
    dtypes, width = {own.dtype for own in module.parameters()}, getattr(here.gate_proj, "in_features", 0)
    dtype = next(iter(dtypes)) if len(dtypes) == 1 else None
    if dtype not in TYPES or not width or list(here.act_fn.parameters()):
        return None
    x, up = _some((2, width), dtype), torch.ones(16, 16, dtype=dtype)
    for told in map(torch.tensor, ACTIVATIONS):
        gated = Gated(module, module.forward, told)

        def light(gate: Tensor, gated: Gated = gated) -> Tensor:
            y: Tensor = _Gated.apply(gate, up, gated)
            return y

        with torch.no_grad():
            is_same = torch.equal(gated(x), module.forward(x))
        if is_same and _is_near(light, here.act_fn, _some((16, 16), dtype) * 2):
            return gated
    return None


def turned_of(module: nn.Module, asks: Asks = asks) -> Callable[..., Any] | None:
    """The `forward` of an attention module with a lighter rotation of queries and keys; None of any other module.

    It is the module's own function, with another of that name among what it sees.

    Args:
        asks: whether it is to be taken, of the tensors that it would get.
    """
    own: Any = type(module).forward
    if not isinstance(own, FunctionType) or ROTATES not in own.__code__.co_names:
        return None
    if any(p.dtype not in TYPES for p in module.parameters()):
        return None
    rotates = own.__globals__[ROTATES]
    if not all(_turns_alike(rotates, dtype) for dtype in TYPES):
        return None
    seen = {**own.__globals__, ROTATES: turning(rotates, asks)}
    copy = FunctionType(own.__code__, seen, own.__name__, own.__defaults__, own.__closure__)
    copy.__kwdefaults__ = own.__kwdefaults__
    return MethodType(copy, module)


def _turns_alike(rotates: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype) -> bool:
    q, k = (_some((2, 3, heads, 8), dtype).transpose(1, 2).requires_grad_() for heads in (4, 2))
    angles = _some((1, 3, 8), dtype), _some((1, 3, 8), dtype).flip(-1)
    try:
        own, ours = rotates(q, k, *angles), turning(rotates)(q, k, *angles)
    except (TypeError, RuntimeError, ValueError, IndexError):  # it wants to be asked otherwise
        return False
    return all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(own, ours, strict=True))


def _is_near(light: Callable[[Tensor], Tensor], own: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether two functions have the same values, to the bit, and like gradients."""
    found = []
    for function in (light, own):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            y = function(leaf)
            (dx,) = torch.autograd.grad(y, leaf, _some(tuple(y.shape), y.dtype).flip(0))
        found.append((y.detach(), dx.float()))
    (ours, dx), (its, its_dx) = found
    return torch.equal(ours, its) and bool((dx - its_dx).abs().max() <= NEAR[x.dtype] * its_dx.abs().max())


def _some(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Numbers without a pattern around a quarter, always the same, drawn from nobody's generator."""
    count = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64)
    return ((count * count * 0.618).sin() + 0.25).view(shape).to(dtype)
