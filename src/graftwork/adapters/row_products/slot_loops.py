"""Loops that numba compiles: single tokens whose factors lie at addresses of their own.

A token's result does not depend on the other tokens, nor on how many threads share them: not in one bit.

Legend: N tokens, I in features, O out features, R rank, S slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit

from graftwork.base.compiled import BFLOAT16, COMPILED, FLOAT32, at, read, share, written

INTEGER = np.empty(0, np.int64)


def _row(x_I: Any, y_O: Any, told: Any, kind: Any) -> None:
    rank, num_in, num_out = told[0], x_I.shape[0], y_O.shape[0]
    sum_O = np.empty(num_out, np.float32)
    for o in range(num_out):
        sum_O[o] = read(y_O[o])
    if told[3]:
        gain_O, shift_O = carray(at(told[3], FLOAT32), (num_out,)), carray(at(told[4], FLOAT32), (num_out,))
        for o in range(num_out):
            sum_O[o] = sum_O[o] * gain_O[o] + shift_O[o]
    down_RI, up_RO = carray(at(told[1], kind), (rank, num_in)), carray(at(told[2], kind), (rank, num_out))
    for r in range(rank):
        total = np.float32(0)
        for i in range(num_in):
            total += read(x_I[i]) * read(down_RI[r, i])
        for o in range(num_out):
            sum_O[o] += total * read(up_RO[r, o])
    for o in range(num_out):
        y_O[o] = written(sum_O[o], y_O)


row = njit(**COMPILED)(_row)


def _rows(told: Any, kind: Any) -> None:
    num_rows, num_in, num_out = told[4], told[5], told[6]
    x_NI, y_NO = carray(at(told[0], kind), (num_rows, num_in)), carray(at(told[1], kind), (num_rows, num_out))
    slots_N, table_S5 = carray(at(told[2], INTEGER), (num_rows,)), carray(at(told[3], INTEGER), (told[7], 5))
    first, end = share(num_rows)
    for n in range(first, end):
        slot = slots_N[n]
        if slot >= 0 and table_S5[slot, 0] >= 0:
            row(x_NI[n], y_NO[n], table_S5[slot], kind)


_rows_of = njit(**COMPILED)(_rows)


def _rows_bfloat16(told: Any) -> None:
    _rows_of(told, BFLOAT16)


def _rows_float32(told: Any) -> None:
    _rows_of(told, FLOAT32)


rows = {torch.bfloat16: _rows_bfloat16, torch.float32: _rows_float32}
"""Told the addresses of x_NI, y_NO (which is changed), slots_N and table_S5; N, I, O, S. A line of the table is a rank,
below 0 where nothing acts, and the addresses of down_RI, up_RO, gain_O and shift_O, the last two 0 where there is no
gain."""
