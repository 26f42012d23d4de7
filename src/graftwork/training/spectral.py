"""Holding the largest singular value of each low-rank factor at or below a cap.

A factor with R rows or columns has the singular values of its R x R Gram matrix, which is small: no decomposition of
the factor itself is needed, and the Gram matrices of all factors are made and decomposed in a few calls. Scaling the
whole factor down keeps its directions.

    |F|_F / sqrt(R)  <=  sigma_max  =  sqrt(lambda_max(F F^T))  <=  |F|_F

Three looks, each at what the one before left open. Frobenius norms cost next to nothing. Gram matrices in float32 are
wrong by a share that is bounded by N R eps. Only what may then still be above the cap, or may be the largest of all, is
looked at in float64.

Legend: K matrices of one shape M x N, R the smaller and N the larger of its two sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.core.errors import WorkError

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter

Within = tuple[float, float]
"""What a largest singular value is at least, and at most."""

ANYTHING: Within = (0.0, inf)

HELD = {torch.float32: (1e-15, 1e15), torch.float64: (1e-120, 1e120)}
"""Frobenius norms between these have squares, and products of squares, that the type holds."""


def largest_singular_value(factor: Tensor) -> float:
    """Of one matrix, in float64."""
    return largest_singular_values([factor])[0]


def largest_singular_values(matrices: Sequence[Tensor]) -> list[float]:
    """Of each matrix, in float64, whatever its shape and however large its numbers; inf where one is not finite."""
    with torch.no_grad():
        return _exact(matrices, _norms(matrices))


def factors_of(adapter: Adapter) -> list[Tensor]:
    """The trained matrices of methods that act by matrices; of a stack of them (blocks, experts) each one."""
    named = [(here, name, tensor) for here in adapter.placed.values() for name, tensor in here.params.items()]
    trained = [tensor.detach() for here, name, tensor in named if here.method.caps(name, tensor.shape)]
    return [factor for tensor in trained for factor in tensor.view(-1, *tensor.shape[-2:]).unbind()]


def hold_below(factors: Iterable[Tensor], cap: float) -> float:
    """Scale down, in place, each matrix whose largest singular value is above `cap`; afterwards none is.

    Returns:
        The largest singular value before, over all matrices; 0 when there are none.

    Raises:
        WorkError: a matrix holds something that is not finite, which no scaling brings below a cap.
    """
    matrices = [factor.detach() for factor in factors if factor.ndim == 2]
    if not matrices:
        return 0.0
    with torch.no_grad():
        norms = _norms(matrices)
        for look in (_by_norm, _by_float32):
            left = _open(look(matrices, norms), cap)
            matrices, norms = [matrices[k] for k in left], [norms[k] for k in left]
        sigmas = _exact(matrices, norms)
        largest = max(sigmas)
        if not isfinite(largest):
            raise WorkError(
                "a factor is not finite after the update. Lower training.learning_rate. The last checkpoint is kept."
            )
        for factor, sigma in zip(matrices, sigmas, strict=True):
            if sigma > cap:
                factor.mul_(cap / sigma * (1 - _rounding(factor)))
    return largest


def _open(known: Sequence[Within], cap: float) -> list[int]:
    """Which may be above the cap, or may be the largest of all. At least one is."""
    settled = min(cap, max(low for low, _ in known))
    return [k for k, (_, high) in enumerate(known) if high >= settled]


def _by_norm(matrices: Sequence[Tensor], norms: Sequence[float]) -> list[Within]:
    least = [norm / sqrt(max(1, min(m.shape))) for norm, m in zip(norms, matrices, strict=True)]
    return [  # the norm of many float32 numbers is itself rounded
        (low * (1 - 1e-5), norm * (1 + 1e-5)) if isfinite(norm) and matrix.dtype.itemsize >= 4 else ANYTHING
        for low, norm, matrix in zip(least, norms, matrices, strict=True)
    ]


def _by_float32(matrices: Sequence[Tensor], norms: Sequence[float]) -> list[Within]:
    """Of those that have room in float32; all others are left open."""
    found = [ANYTHING] * len(matrices)
    for at in _alike(matrices, norms, torch.float32):
        sigma_K = _of_one_shape(torch.stack([matrices[k] for k in at]).float())
        off = matrices[at[0]].numel() * torch.finfo(torch.float32).eps  # N R eps
        for k, sigma in zip(at, sigma_K.tolist(), strict=True):
            found[k] = (sigma * (1 - off), sigma * (1 + off))
    return found


def _exact(matrices: Sequence[Tensor], norms: Sequence[float]) -> list[float]:
    found: list[float | None] = [None] * len(matrices)
    for at in _alike(matrices, norms, torch.float64):
        sigma_K = _of_one_shape(torch.stack([matrices[k] for k in at]).double())
        for k, sigma in zip(at, sigma_K.tolist(), strict=True):
            found[k] = sigma
    return [_of_any_size(m) if sigma is None else sigma for m, sigma in zip(matrices, found, strict=True)]


def _norms(matrices: Sequence[Tensor]) -> list[float]:
    """The Frobenius norm of each, in its own type: inf where its square has no room there."""
    found: list[float] = torch.stack([norm.double() for norm in torch._foreach_norm(list(matrices))]).tolist()
    return found


def _alike(matrices: Sequence[Tensor], norms: Sequence[float], dtype: torch.dtype) -> list[list[int]]:
    """Those of one shape together, if they can be multiplied in `dtype` without loss of what they are."""
    least, most = HELD[dtype]
    groups: dict[torch.Size, list[int]] = {}
    for k, (matrix, norm) in enumerate(zip(matrices, norms, strict=True)):
        if least < norm < most and matrix.dtype.itemsize <= dtype.itemsize:
            groups.setdefault(matrix.shape, []).append(k)
    return list(groups.values())


def _of_one_shape(matrices_KMN: Tensor) -> Tensor:
    wide_KRN = matrices_KMN if matrices_KMN.shape[1] <= matrices_KMN.shape[2] else matrices_KMN.mT
    sigma_K: Tensor = torch.linalg.eigvalsh(wide_KRN @ wide_KRN.mT)[:, -1].clamp(min=0).sqrt()
    return sigma_K


def _of_any_size(matrix: Tensor) -> float:
    """Of one whose squares would overflow or vanish: its largest number is divided out first."""
    most = float(matrix.abs().amax()) if matrix.numel() else 0.0
    if not isfinite(most):
        return inf
    return most * float(_of_one_shape((matrix.double() / most)[None])) if most else 0.0


def _rounding(factor: Tensor) -> float:
    """As a share, more than rounding each number of a scaled factor can add to its largest singular value."""
    return 4 * sqrt(min(factor.shape)) * torch.finfo(factor.dtype).eps
