"""Loops that numba compiles: tokens whose factors lie at addresses of their own, in blocks of up to four.

A block's result does not depend on the other blocks, nor on how many threads share them: not in one bit.

Legend: N tokens, B blocks, I in features, O out features, R rank, S slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit

from graftwork.base.compiled import BFLOAT16, COMPILED, FLOAT32, at, read, share, written

INTEGER = np.empty(0, np.int64)


def _begun(y_O: Any, told: Any, sum_O: Any) -> None:
    num_out = y_O.shape[0]
    for o in range(num_out):
        sum_O[o] = read(y_O[o])
    if told[3]:
        gain_O, shift_O = carray(at(told[3], FLOAT32), (num_out,)), carray(at(told[4], FLOAT32), (num_out,))
        for o in range(num_out):
            sum_O[o] = sum_O[o] * gain_O[o] + shift_O[o]


begun = njit(**COMPILED)(_begun)


def _ended(sum_O: Any, y_O: Any) -> None:
    for o in range(y_O.shape[0]):
        y_O[o] = written(sum_O[o], y_O)


ended = njit(**COMPILED)(_ended)


def _one(x_I: Any, y_O: Any, told: Any, kind: Any) -> None:
    """A token."""
    rank, num_in, num_out = told[0], x_I.shape[0], y_O.shape[0]
    down_RI, up_RO = carray(at(told[1], kind), (rank, num_in)), carray(at(told[2], kind), (rank, num_out))
    sum_O = np.empty(num_out, np.float32)
    begun(y_O, told, sum_O)
    for r in range(rank):
        total = np.float32(0)
        for i in range(num_in):
            total += read(x_I[i]) * read(down_RI[r, i])
        for o in range(num_out):
            sum_O[o] += total * read(up_RO[r, o])
    ended(sum_O, y_O)


one = njit(**COMPILED)(_one)


def _four(x_4I: Any, y_4O: Any, told: Any, kind: Any) -> None:
    """Four tokens: each number of a factor is read once for all of them, and two ranks go side by side."""
    rank, num_in, num_out = told[0], x_4I.shape[1], y_4O.shape[1]
    down_RI, up_RO = carray(at(told[1], kind), (rank, num_in)), carray(at(told[2], kind), (rank, num_out))
    read_4I, sum_4O = np.empty((4, num_in), np.float32), np.empty((4, num_out), np.float32)
    for n in range(4):
        for i in range(num_in):
            read_4I[n, i] = read(x_4I[n, i])
        begun(y_4O[n], told, sum_4O[n])
    x0, x1, x2, x3 = read_4I[0], read_4I[1], read_4I[2], read_4I[3]
    s0, s1, s2, s3 = sum_4O[0], sum_4O[1], sum_4O[2], sum_4O[3]
    for r in range(0, rank, 2):
        other, weight = min(r + 1, rank - 1), np.float32(r + 1 < rank)  # of an odd rank the last one stands alone
        t0 = t1 = t2 = t3 = np.float32(0)
        u0 = u1 = u2 = u3 = np.float32(0)
        for i in range(num_in):
            a, b = read(down_RI[r, i]), read(down_RI[other, i])
            t0 += x0[i] * a
            t1 += x1[i] * a
            t2 += x2[i] * a
            t3 += x3[i] * a
            u0 += x0[i] * b
            u1 += x1[i] * b
            u2 += x2[i] * b
            u3 += x3[i] * b
        for o in range(num_out):
            a, b = read(up_RO[r, o]), read(up_RO[other, o]) * weight
            s0[o] += t0 * a + u0 * b
            s1[o] += t1 * a + u1 * b
            s2[o] += t2 * a + u2 * b
            s3[o] += t3 * a + u3 * b
    for n in range(4):
        ended(sum_4O[n], y_4O[n])


four = njit(**COMPILED)(_four)


def _rows(told: Any, kind: Any) -> None:
    num_blocks, num_rows, num_in, num_out = told[4], told[5], told[6], told[7]
    x_NI, y_NO = carray(at(told[0], kind), (num_rows, num_in)), carray(at(told[1], kind), (num_rows, num_out))
    blocks_B3, table_S5 = carray(at(told[2], INTEGER), (num_blocks, 3)), carray(at(told[3], INTEGER), (told[8], 5))
    first, end = share(num_blocks)
    for n in range(first, end):
        start, stop, slot = blocks_B3[n, 0], blocks_B3[n, 1], blocks_B3[n, 2]
        if table_S5[slot, 0] < 0:
            continue
        if stop - start == 4:
            four(x_NI[start:stop], y_NO[start:stop], table_S5[slot], kind)
        else:
            for row in range(start, stop):
                one(x_NI[row], y_NO[row], table_S5[slot], kind)


_rows_of = njit(**COMPILED)(_rows)


def _rows_bfloat16(told: Any) -> None:
    _rows_of(told, BFLOAT16)


def _rows_float32(told: Any) -> None:
    _rows_of(told, FLOAT32)


rows = {torch.bfloat16: _rows_bfloat16, torch.float32: _rows_float32}
"""Told the addresses of x_NI, y_NO (which is changed), blocks_B3 and table_S5; B, N, I, O, S. A block is its first row,
the one after its last, and their slot; there are four of them in it, or fewer, which is not the same to the last bit. A
line of the table is a rank, below 0 where nothing acts, and the addresses of down_RI, up_RO, gain_O and shift_O, the
last two 0 where there is no gain."""
