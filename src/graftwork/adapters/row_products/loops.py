"""Loops that numba compiles: products of rows with factors of their own, bfloat16 or float32, summed up in float32.

One thread: there are as many products as adapted layers a token, and none is long.

Legend: N tokens, I in features, O out features, S ranks of all factors, L layers, Z columns kept between the products.
`sizes` are S, a layer's features (I or O), and Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit

from graftwork.base.compiled import COMPILED, FLOAT32, KINDS, at, read, written

__all__ = ["KINDS", "down", "up"]


def _products(x_NI: Any, down_SI: Any, z_NZ: Any, spans_LN2: Any, starts_L: Any) -> None:
    num_layers, num_tokens, _ = spans_LN2.shape
    for n in range(num_tokens):
        for layer in range(num_layers):
            start, end = spans_LN2[layer, n]
            for s in range(start, end):
                total = np.float32(0)
                for i in range(x_NI.shape[1]):
                    total += read(x_NI[n, i]) * read(down_SI[s, i])
                z_NZ[n, starts_L[layer] + s - start] = total


def _sums(z_NZ: Any, up_SO: Any, base_NO: Any, whole_NO: Any, own_N2: Any) -> None:
    sum_O = np.empty(base_NO.shape[1], np.float32)
    for n in range(own_N2.shape[0]):
        for o in range(sum_O.shape[0]):
            sum_O[o] = read(base_NO[n, o])
        for s in range(own_N2[n, 0], own_N2[n, 1]):
            factor = z_NZ[n, s - own_N2[n, 0]]
            for o in range(sum_O.shape[0]):
                sum_O[o] += factor * read(up_SO[s, o])
        for o in range(sum_O.shape[0]):
            whole_NO[n, o] = written(sum_O[o], base_NO)


products = njit(**COMPILED)(_products)
sums = njit(**COMPILED)(_sums)


def _down(x: Any, down: Any, z: Any, spans_LN2: Any, starts_L: Any, sizes: Any, kind: Any) -> None:
    (ranks, features, columns), tokens = sizes, spans_LN2.shape[1]
    x_NI, down_SI = carray(at(x, kind), (tokens, features)), carray(at(down, kind), (ranks, features))
    products(x_NI, down_SI, carray(at(z, FLOAT32), (tokens, columns)), spans_LN2, starts_L)


def _up(z: Any, up: Any, base: Any, whole: Any, own_N2: Any, sizes: Any, kind: Any) -> None:
    (ranks, features, columns), tokens = sizes, own_N2.shape[0]
    z_NZ, up_SO = carray(at(z, FLOAT32), (tokens, columns)), carray(at(up, kind), (ranks, features))
    base_NO, whole_NO = carray(at(base, kind), (tokens, features)), carray(at(whole, kind), (tokens, features))
    sums(z_NZ, up_SO, base_NO, whole_NO, own_N2)


down = njit(**COMPILED)(_down)
up = njit(**COMPILED)(_up)
