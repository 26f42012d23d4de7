"""Loops that numba compiles: products of rows with factors of their own, bfloat16 or float32, summed up in float32.

Tensors come as addresses, row after row without gaps; whoever calls holds them. numba knows no bfloat16: its bits are
the upper half of a float32's.

One thread: numba's pools set how many threads torch has, or are not to be entered twice.

Legend: N tokens, I in features, O out features, S ranks of all factors, L layers, Z columns kept between the products.
`sizes` are S, a layer's features (I or O), and Z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic, overload

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be made in another order, always the same; infinities and what is no number stay what they are."""
COMPILED: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy"}
WORD = ir.IntType(32)
BFLOAT16, FLOAT32 = np.empty(0, np.uint16), np.empty(0, np.float32)
"""Kinds of numbers, told to the loops by an array of them."""
KINDS = {torch.bfloat16: BFLOAT16, torch.float32: FLOAT32}


@intrinsic  # type: ignore[untyped-decorator]
def _read(context: Any, value: Any) -> Any:
    """A number as float32: of bfloat16 bits, or as it is."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if signature.args[0] == types.float32:
            return values[0]
        upper = builder.shl(builder.zext(values[0], WORD), ir.Constant(WORD, 16))
        return builder.bitcast(upper, ir.FloatType())

    return types.float32(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def _bits(context: Any, value: Any) -> Any:
    """The bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], WORD)

    return types.uint32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def _at(context: Any, address: Any, kind: Any) -> Any:
    """A pointer to numbers of the kind of an array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(types.int64, kind), generate


def _written(value: Any, kind: Any) -> Any:
    """A float32 as a number of the kind of an array: to the nearest bfloat16, ties to even, or as it is."""
    raise NotImplementedError("for compiled code alone")


@overload(_written, inline="always")  # type: ignore[untyped-decorator]
def _written_as(value: Any, kind: Any) -> Any:
    def as_it_is(value: Any, kind: Any) -> Any:
        return value

    def rounded(value: Any, kind: Any) -> Any:
        if value != value:  # what is no number must not round to one
            return np.uint16(0x7FC0)
        bits = _bits(value)
        return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    return as_it_is if kind.dtype == types.float32 else rounded


def _products(x_NI: Any, down_SI: Any, z_NZ: Any, spans_LN2: Any, starts_L: Any) -> None:
    num_layers, num_tokens, _ = spans_LN2.shape
    for n in range(num_tokens):
        for layer in range(num_layers):
            start, end = spans_LN2[layer, n]
            for s in range(start, end):
                total = np.float32(0)
                for i in range(x_NI.shape[1]):
                    total += _read(x_NI[n, i]) * _read(down_SI[s, i])
                z_NZ[n, starts_L[layer] + s - start] = total


def _sums(z_NZ: Any, up_SO: Any, base_NO: Any, whole_NO: Any, own_N2: Any) -> None:
    sum_O = np.empty(base_NO.shape[1], np.float32)
    for n in range(own_N2.shape[0]):
        for o in range(sum_O.shape[0]):
            sum_O[o] = _read(base_NO[n, o])
        for s in range(own_N2[n, 0], own_N2[n, 1]):
            factor = z_NZ[n, s - own_N2[n, 0]]
            for o in range(sum_O.shape[0]):
                sum_O[o] += factor * _read(up_SO[s, o])
        for o in range(sum_O.shape[0]):
            whole_NO[n, o] = _written(sum_O[o], base_NO)


products = njit(**COMPILED)(_products)
sums = njit(**COMPILED)(_sums)


def _down(x: Any, down: Any, z: Any, spans_LN2: Any, starts_L: Any, sizes: Any, kind: Any) -> None:
    (ranks, features, columns), tokens = sizes, spans_LN2.shape[1]
    x_NI, down_SI = carray(_at(x, kind), (tokens, features)), carray(_at(down, kind), (ranks, features))
    products(x_NI, down_SI, carray(_at(z, FLOAT32), (tokens, columns)), spans_LN2, starts_L)


def _up(z: Any, up: Any, base: Any, whole: Any, own_N2: Any, sizes: Any, kind: Any) -> None:
    (ranks, features, columns), tokens = sizes, own_N2.shape[0]
    z_NZ, up_SO = carray(_at(z, FLOAT32), (tokens, columns)), carray(_at(up, kind), (ranks, features))
    base_NO, whole_NO = carray(_at(base, kind), (tokens, features)), carray(_at(whole, kind), (tokens, features))
    sums(z_NZ, up_SO, base_NO, whole_NO, own_N2)


down = njit(**COMPILED)(_down)
up = njit(**COMPILED)(_up)
