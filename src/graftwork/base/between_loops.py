"""Loops of `base.between` that numba compiles: bfloat16 or float32 in and out, float32 inside.

A row's result does not depend on other rows, nor on how many threads share them: not in one bit.

Legend: N tokens, H features, K heads, D head size; M numbers, or angles that are the same for every M tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit

from graftwork.base.compiled import BFLOAT16, COMPILED, EXACT, FLOAT32, FUSED, at, float_of, read, share, written

ONE, HALF = np.float32(1), np.float32(0.5)
LEAST, MOST = np.float32(-88.8), np.float32(87)
"""From where on a sigmoid is 0, and 1: 2 ** 128 is infinite in the bits below, 2 ** -126 the smallest number."""
LOG2_E = np.float32(1.4426950408889634)
POWERS = tuple(np.float32(np.log(2) ** n / f) for n, f in enumerate((1, 1, 2, 6, 24, 120, 720)))
"""Of the series of 2 ** f: good to 2e-7 for f in -0.5 to 0.5."""
P0, P1, P2, P3, P4, P5, P6 = POWERS


def _norm_back(x_NH: Any, dy_NH: Any, gain_H: Any, dx_NH: Any, told_2: Any) -> None:
    eps, offset, num = told_2[0], told_2[1], np.float32(x_NH.shape[1])
    first, end = share(x_NH.shape[0])
    for n in range(first, end):
        squares, along = np.float32(0), np.float32(0)
        for h in range(x_NH.shape[1]):
            x = read(x_NH[n, h])
            squares += x * x
            along += read(dy_NH[n, h]) * (read(gain_H[h]) + offset) * x
        scale = ONE / np.sqrt(squares / num + eps)
        back = along / num * scale * scale * scale
        for h in range(x_NH.shape[1]):
            dy = read(dy_NH[n, h]) * (read(gain_H[h]) + offset)
            dx_NH[n, h] = written(dy * scale - read(x_NH[n, h]) * back, dx_NH)


def _sigmoid(x: Any) -> Any:
    x = min(max(x, LEAST), MOST)
    whole = np.floor(HALF - x * LOG2_E)
    f = -x * LOG2_E - whole
    power = P0 + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
    return ONE / (ONE + power * float_of((np.int32(whole) + np.int32(127)) << np.int32(23)))


def _gated_back(gate_M: Any, up_M: Any, dy_M: Any, dgate_M: Any, dup_M: Any, told_2: Any) -> None:
    slope, bend = told_2[0], told_2[1]
    for m in range(gate_M.shape[0]):
        gate, dy = read(gate_M[m]), read(dy_M[m])
        s = sigmoid(slope * gate * (ONE + bend * gate * gate))
        steep = slope * (ONE + np.float32(3) * bend * gate * gate)
        dup_M[m] = written(dy * gate * s, dup_M)
        dgate_M[m] = written(dy * read(up_M[m]) * s * (ONE + gate * steep * (ONE - s)), dgate_M)


def _turn(x_NKD: Any, cos_MD: Any, sin_MD: Any, y_NKD: Any) -> None:
    half = x_NKD.shape[2] // 2
    first, end = share(x_NKD.shape[0])
    for n in range(first, end):
        m = n % cos_MD.shape[0]
        for k in range(x_NKD.shape[1]):
            for d in range(half):
                a, b = read(x_NKD[n, k, d]), read(x_NKD[n, k, half + d])
                along = read(written(a * read(cos_MD[m, d]), y_NKD))
                across = read(written(-b * read(sin_MD[m, d]), y_NKD))
                y_NKD[n, k, d] = written(along + across, y_NKD)
                along = read(written(b * read(cos_MD[m, half + d]), y_NKD))
                across = read(written(a * read(sin_MD[m, half + d]), y_NKD))
                y_NKD[n, k, half + d] = written(along + across, y_NKD)


def _turn_back(dy_NKD: Any, cos_MD: Any, sin_MD: Any, dx_NKD: Any) -> None:
    half = dy_NKD.shape[2] // 2
    first, end = share(dy_NKD.shape[0])
    for n in range(first, end):
        m = n % cos_MD.shape[0]
        for k in range(dy_NKD.shape[1]):
            for d in range(half):
                a, b = read(dy_NKD[n, k, d]), read(dy_NKD[n, k, half + d])
                da = a * read(cos_MD[m, d]) + b * read(sin_MD[m, half + d])
                db = b * read(cos_MD[m, half + d]) - a * read(sin_MD[m, d])
                dx_NKD[n, k, d] = written(da, dx_NKD)
                dx_NKD[n, k, half + d] = written(db, dx_NKD)


sigmoid = njit(**FUSED)(_sigmoid)
norm_rows = njit(**COMPILED)(_norm_back)
gated_numbers = njit(**FUSED)(_gated_back)
turn_rows = njit(**EXACT)(_turn)
turn_rows_back = njit(**FUSED)(_turn_back)


def _norm(told: Any, kind: Any) -> None:
    rows, row = (told[5], told[6]), (told[6],)
    x_NH, dy_NH, dx_NH = (
        carray(at(told[0], kind), rows),
        carray(at(told[1], kind), rows),
        carray(at(told[3], kind), rows),
    )
    norm_rows(x_NH, dy_NH, carray(at(told[2], kind), row), dx_NH, carray(at(told[4], FLOAT32), (2,)))


def _gated(told: Any, kind: Any) -> None:
    size, (first, end) = (told[6],), share(told[6])
    gate_M, up_M = carray(at(told[0], kind), size)[first:end], carray(at(told[1], kind), size)[first:end]
    dy_M, dgate_M = carray(at(told[2], kind), size)[first:end], carray(at(told[3], kind), size)[first:end]
    dup_M = carray(at(told[4], kind), size)[first:end]
    gated_numbers(gate_M, up_M, dy_M, dgate_M, dup_M, carray(at(told[5], FLOAT32), (2,)))


def _turned(told: Any, kind: Any) -> None:
    heads, row = (told[4], told[5], told[6]), (told[7], told[6])
    cos_MD, sin_MD = carray(at(told[1], kind), row), carray(at(told[2], kind), row)
    turn_rows(carray(at(told[0], kind), heads), cos_MD, sin_MD, carray(at(told[3], kind), heads))


def _turned_back(told: Any, kind: Any) -> None:
    heads, row = (told[4], told[5], told[6]), (told[7], told[6])
    cos_MD, sin_MD = carray(at(told[1], kind), row), carray(at(told[2], kind), row)
    turn_rows_back(carray(at(told[0], kind), heads), cos_MD, sin_MD, carray(at(told[3], kind), heads))


_norm_of, _gated_of, _turned_of, _turned_back_of = (
    njit(**COMPILED)(loop) for loop in (_norm, _gated, _turned, _turned_back)
)


def _norm_bfloat16(told: Any) -> None:
    _norm_of(told, BFLOAT16)


def _norm_float32(told: Any) -> None:
    _norm_of(told, FLOAT32)


def _gated_bfloat16(told: Any) -> None:
    _gated_of(told, BFLOAT16)


def _gated_float32(told: Any) -> None:
    _gated_of(told, FLOAT32)


def _turned_bfloat16(told: Any) -> None:
    _turned_of(told, BFLOAT16)


def _turned_float32(told: Any) -> None:
    _turned_of(told, FLOAT32)


def _turned_back_bfloat16(told: Any) -> None:
    _turned_back_of(told, BFLOAT16)


def _turned_back_float32(told: Any) -> None:
    _turned_back_of(told, FLOAT32)


norm_back = {torch.bfloat16: _norm_bfloat16, torch.float32: _norm_float32}
"""Told the addresses of x_NH, dy_NH, gain_H, dx_NH, of epsilon and what is added to the gain; N, H."""
gated_back = {torch.bfloat16: _gated_bfloat16, torch.float32: _gated_float32}
"""Told the addresses of gate_M, up_M, dy_M, dgate_M, dup_M, of slope and bend; M."""
turn = {torch.bfloat16: _turned_bfloat16, torch.float32: _turned_float32}
"""Told the addresses of x_NKD, cos_MD, sin_MD, y_NKD; N, K, D, M."""
turn_back = {torch.bfloat16: _turned_back_bfloat16, torch.float32: _turned_back_float32}
"""As `turn`, of the gradients."""
