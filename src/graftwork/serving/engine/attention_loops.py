"""Loops that numba compiles: one token a row, whose key and value are kept, over the keys and values in its own pages.

Scores, softmax and sums are float32. A row's result does not depend on other rows, nor on how many threads share them:
not in one bit.

Legend: N rows, H heads of queries, K heads of keys, G = H / K, D size of a key, E size of a value, P pages of the
cache, T places a page, M most pages of a row, S keys that a row sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit

from graftwork.base.compiled import BFLOAT16, COMPILED, FLOAT32, FUSED, at, float_of, read, share, written
from graftwork.serving.engine.pages import PAGE_TOKENS

INTEGER = np.empty(0, np.int64)
ONE, HALF, LEAST = np.float32(1), np.float32(0.5), np.float32(-87)
LOG2_E = np.float32(1.4426950408889634)
POWERS = tuple(np.float32(np.log(2) ** n / f) for n, f in enumerate((1, 1, 2, 6, 24, 120, 720)))
"""Of the series of 2 ** f: good to 2e-7 for f in -0.5 to 0.5."""
P0, P1, P2, P3, P4, P5, P6 = POWERS


def _exponentials(scores_S: Any, most: Any) -> Any:
    total = np.float32(0)
    for s in range(scores_S.shape[0]):
        x = max(scores_S[s] - most, LEAST) * LOG2_E
        whole = np.floor(x + HALF)
        f = x - whole
        power = P0 + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
        power *= float_of((np.int32(whole) + np.int32(127)) << np.int32(23))
        scores_S[s] = power
        total += power
    return total


exponentials = njit(**{**FUSED, "fastmath": {"contract", "reassoc"}})(_exponentials)


def _scores(query_GD: Any, keys_PKTD: Any, pages_M: Any, told: Any, scale: Any, scores_GS: Any) -> None:
    head, first, end = told
    wide_GD = np.empty(query_GD.shape, np.float32)
    for g in range(query_GD.shape[0]):
        for d in range(query_GD.shape[1]):
            wide_GD[g, d] = read(query_GD[g, d]) * scale
    for s in range(first, end):
        key_D = keys_PKTD[pages_M[s // PAGE_TOKENS], head, s % PAGE_TOKENS]
        for g in range(query_GD.shape[0]):
            total = np.float32(0)
            for d in range(query_GD.shape[1]):
                total += wide_GD[g, d] * read(key_D[d])
            scores_GS[g, s - first] = total


def _sums(scores_GS: Any, values_PKTE: Any, pages_M: Any, told: Any, output_GE: Any) -> None:
    head, first, end = told
    sums_GE = np.zeros(output_GE.shape, np.float32)
    for s in range(first, end):
        value_E = values_PKTE[pages_M[s // PAGE_TOKENS], head, s % PAGE_TOKENS]
        for g in range(output_GE.shape[0]):
            share_of = scores_GS[g, s - first]
            for e in range(output_GE.shape[1]):
                sums_GE[g, e] += share_of * read(value_E[e])
    for g in range(output_GE.shape[0]):
        for e in range(output_GE.shape[1]):
            output_GE[g, e] = written(sums_GE[g, e], output_GE)


scores, sums = njit(**COMPILED)(_scores), njit(**COMPILED)(_sums)


def _head(query_GD: Any, keys_PKTD: Any, values_PKTE: Any, output_GE: Any, pages_M: Any, told: Any, scale: Any) -> None:
    _, first, end = told
    scores_GS = np.empty((query_GD.shape[0], end - first), np.float32)
    scores(query_GD, keys_PKTD, pages_M, told, scale, scores_GS)
    for g in range(query_GD.shape[0]):
        total = exponentials(scores_GS[g], scores_GS[g].max())
        for s in range(end - first):
            scores_GS[g, s] /= total
    sums(scores_GS, values_PKTE, pages_M, told, output_GE)


one_head = njit(**COMPILED)(_head)


def _kept(new_D: Any, kept_PKTD: Any, page: Any, head: Any, place: Any) -> None:
    for d in range(new_D.shape[0]):
        kept_PKTD[page, head, place, d] = new_D[d]


kept = njit(**COMPILED)(_kept)


def _rows(told: Any, kind: Any) -> None:
    rows, groups, kv_heads, size, size_out = told[10], told[11] // told[12], told[12], told[13], told[14]
    pages, most = told[15], told[16]
    query_NKGD = carray(at(told[0], kind), (rows, kv_heads, groups, size))
    output_NKGE = carray(at(told[1], kind), (rows, kv_heads, groups, size_out))
    key_NKD = carray(at(told[2], kind), (rows, kv_heads, size))
    value_NKE = carray(at(told[3], kind), (rows, kv_heads, size_out))
    keys_PKTD = carray(at(told[4], kind), (pages, kv_heads, PAGE_TOKENS, size))
    values_PKTE = carray(at(told[5], kind), (pages, kv_heads, PAGE_TOKENS, size_out))
    pages_NM, ends_N = carray(at(told[6], INTEGER), (rows, most)), carray(at(told[7], INTEGER), (rows,))
    starts_N, scale = carray(at(told[8], INTEGER), (rows,)), carray(at(told[9], FLOAT32), (1,))[0]
    first, end = share(rows * kv_heads)
    for one in range(first, end):
        n, k = one // kv_heads, one % kv_heads
        last = ends_N[n] - 1
        page, place = pages_NM[n, last // PAGE_TOKENS], last % PAGE_TOKENS
        kept(key_NKD[n, k], keys_PKTD, page, k, place)
        kept(value_NKE[n, k], values_PKTE, page, k, place)
        seen = (k, starts_N[n], ends_N[n])
        one_head(query_NKGD[n, k], keys_PKTD, values_PKTE, output_NKGE[n, k], pages_NM[n], seen, scale)


_rows_of = njit(**COMPILED)(_rows)


def _rows_bfloat16(told: Any) -> None:
    _rows_of(told, BFLOAT16)


def _rows_float32(told: Any) -> None:
    _rows_of(told, FLOAT32)


rows = {torch.bfloat16: _rows_bfloat16, torch.float32: _rows_float32}
"""Told the addresses of query_NHD, output_NHE, key_NKD and value_NKE, which are kept in the row's last place,
keys_PKTD, values_PKTE, pages_NM, ends_N, starts_N (a row sees the keys from its start to its end) and of the scale; N,
H, K, D, E, P, M."""
