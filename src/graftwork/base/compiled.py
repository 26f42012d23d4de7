"""What loops that numba compiles have in common: numbers in bfloat16 or float32, and torch's own threads.

Tensors come as addresses, row after row without gaps; whoever calls holds them. numba knows no bfloat16: its bits are
the upper half of a float32's.

numba's pools of threads set how many threads torch has, or are not to be entered twice. So rows are shared out over the
threads that torch has made with OpenMP, where its functions are to be found, and else left to one thread.

Source: entry points of OpenMP's runtime: https://gcc.gnu.org/onlinedocs/libgomp/, section "Implementing PARALLEL
Construct".
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import binding, ir
from numba import cfunc, njit, types
from numba.extending import intrinsic, overload

from graftwork.base.threads import openmp

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be made in another order, always the same; infinities and what is no number stay what they are."""
COMPILED: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy"}
FUSED: dict[str, Any] = {**COMPILED, "fastmath": {"contract"}}
"""A product may be added without being rounded first; else every operation as it is written, wherever it stands."""
EXACT: dict[str, Any] = {**COMPILED, "fastmath": False}
"""Every operation as it is written, to the bit."""
WORD = ir.IntType(32)
BFLOAT16, FLOAT32 = np.empty(0, np.uint16), np.empty(0, np.float32)
"""Kinds of numbers, told to the loops by an array of them."""
KINDS = {torch.bfloat16: BFLOAT16, torch.float32: FLOAT32}
OPENMP_NAMES = "GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"


def _finds_openmp() -> bool:
    """Tell the compiler where functions of the OpenMP library are that torch has loaded; whether all are there."""
    library = openmp()
    if library is None or not all(hasattr(library, name) for name in OPENMP_NAMES):
        return False
    for name in OPENMP_NAMES:
        binding.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
    return True


OPENMP = _finds_openmp()
"""Whether loops can be shared out over torch's threads."""


@intrinsic  # type: ignore[untyped-decorator]
def read(context: Any, value: Any) -> Any:
    """A number as float32: of bfloat16 bits, or as it is."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if signature.args[0] == types.float32:
            return values[0]
        upper = builder.shl(builder.zext(values[0], WORD), ir.Constant(WORD, 16))
        return builder.bitcast(upper, ir.FloatType())

    return types.float32(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits_of(context: Any, value: Any) -> Any:
    """The bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], WORD)

    return types.uint32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of(context: Any, value: Any) -> Any:
    """The float32 of 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def at(context: Any, address: Any, kind: Any) -> Any:
    """A pointer to numbers of the kind of an array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(types.int64, kind), generate


def written(value: Any, kind: Any) -> Any:
    """A float32 as a number of the kind of an array: to the nearest bfloat16, ties to even, or as it is."""
    raise NotImplementedError("for compiled code alone")


@overload(written, inline="always")  # type: ignore[untyped-decorator]
def _written_as(value: Any, kind: Any) -> Any:
    def as_it_is(value: Any, kind: Any) -> Any:
        return value

    def rounded(value: Any, kind: Any) -> Any:
        if value != value:  # what is no number must not round to one
            return np.uint16(0x7FC0)
        bits = bits_of(value)
        return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    return as_it_is if kind.dtype == types.float32 else rounded


_thread = types.ExternalFunction("omp_get_thread_num", types.int32())
_threads = types.ExternalFunction("omp_get_num_threads", types.int32())


def _own_share(num_rows: Any) -> Any:
    index, num = np.int64(_thread()), np.int64(_threads())
    return num_rows * index // num, num_rows * (index + 1) // num


def _all_rows(num_rows: Any) -> Any:
    return np.int64(0), num_rows


share = njit(**COMPILED)(_own_share if OPENMP else _all_rows)
"""The first of so many rows that this thread is to do, and the one after its last."""


def on_all_threads(loop: Callable[[Any], None], *told: int) -> None:
    """Have `loop`, which numba can compile, called on each of torch's threads with the address of whole numbers."""
    Prepared(loop, *told)()


class Prepared:
    """A loop with what it is told, for one that is called again and again: only what changes is told anew.

    Attributes:
        told: whole numbers, to be changed in place.
    """

    __slots__ = ("_loop", "told")

    def __init__(self, loop: Callable[[Any], None], *told: int) -> None:
        self._loop, self.told = _for_c(loop), (ctypes.c_int64 * len(told))(*told)

    def __call__(self, *, alone: bool = False) -> None:
        """Call it on each of torch's threads, or on this one alone."""
        num = torch.get_num_threads() if OPENMP and not alone else 1
        if num == 1:
            self._loop.ctypes(self.told)
        else:
            _parallel()(self._loop.address, self.told, num, 0)


@cache
def _for_c(loop: Callable[[Any], None]) -> Any:
    return cfunc(types.void(types.CPointer(types.int64)), cache=True)(loop)


@cache
def _parallel() -> Callable[..., None]:
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    return function(binding.address_of_symbol("GOMP_parallel"))
