"""Loops of `base.quick` that numba compiles: bfloat16 or float32 in and out, float32 inside, rounded where the base's
own operations round.

A row's result does not depend on other rows, nor on how many threads share them: not in one bit.

Legend: N tokens, H features, M numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit

from graftwork.base.between_loops import sigmoid
from graftwork.base.compiled import BFLOAT16, COMPILED, FLOAT32, FUSED, at, read, share, written

ONE = np.float32(1)


def _norm(x_NH: Any, gain_H: Any, y_NH: Any, eps: Any) -> None:
    num = np.float32(x_NH.shape[1])
    first, end = share(x_NH.shape[0])
    for n in range(first, end):
        squares = np.float32(0)
        for h in range(x_NH.shape[1]):
            x = read(x_NH[n, h])
            squares += x * x
        scale = ONE / np.sqrt(squares / num + eps)
        for h in range(x_NH.shape[1]):
            normed = read(written(read(x_NH[n, h]) * scale, y_NH))
            y_NH[n, h] = written(normed * read(gain_H[h]), y_NH)


def _gate(gate_M: Any, up_M: Any, y_M: Any) -> None:
    for m in range(gate_M.shape[0]):
        gate = read(gate_M[m])
        y_M[m] = written(read(written(gate * sigmoid(gate), y_M)) * read(up_M[m]), y_M)


norm_rows, gate_numbers = njit(**COMPILED)(_norm), njit(**FUSED)(_gate)


def _normed(told: Any, kind: Any) -> None:
    rows, row = (told[4], told[5]), (told[5],)
    eps = carray(at(told[3], FLOAT32), (1,))[0]
    gain_H = carray(at(told[1], kind), row)
    norm_rows(carray(at(told[0], kind), rows), gain_H, carray(at(told[2], kind), rows), eps)


def _gated(told: Any, kind: Any) -> None:
    size, (first, end) = (told[3],), share(told[3])
    gate_M, up_M = carray(at(told[0], kind), size)[first:end], carray(at(told[1], kind), size)[first:end]
    gate_numbers(gate_M, up_M, carray(at(told[2], kind), size)[first:end])


_normed_of, _gated_of = njit(**COMPILED)(_normed), njit(**COMPILED)(_gated)


def _normed_bfloat16(told: Any) -> None:
    _normed_of(told, BFLOAT16)


def _normed_float32(told: Any) -> None:
    _normed_of(told, FLOAT32)


def _gated_bfloat16(told: Any) -> None:
    _gated_of(told, BFLOAT16)


def _gated_float32(told: Any) -> None:
    _gated_of(told, FLOAT32)


normed = {torch.bfloat16: _normed_bfloat16, torch.float32: _normed_float32}
"""Told the addresses of x_NH, gain_H, y_NH and epsilon; N, H."""
gated = {torch.bfloat16: _gated_bfloat16, torch.float32: _gated_float32}
"""Told the addresses of gate_M, up_M and y_M; M."""
