"""Attention of packed records on a CPU, with a backward pass of its own.

    P = softmax(scale Q K^T + mask),  O = P V
    dV = P^T dO,  dS = P * (dO V^T - rowsum(P * dO V^T)),  dQ = scale dS K,  dK = scale dS^T Q

A query sees the keys of its own record, at its own position and before; a beginning that the records share is there
once, all of them see it, and its keys and values get the sum of their gradients. Heads that share keys are rows of one
product, so no key is repeated. Records are padded inside a piece only (`record_pieces`). Nothing is kept for the
backward pass but Q, K and V: P is made again, piece by piece, so memory grows with the tokens.

Scores, softmax and dS of a model in bfloat16 are float32; P, dO V^T and dS are rounded before the products. A model in
float16 is computed in float32 throughout.
Against float64, on a 135 M model's own queries and keys, the output's error is 1.1 to 1.2 times that of torch's fused
attention, the gradients' errors 0.5 to 0.75 times; with rounded scores they would be 3.1 and 1.8 times.

Legend: N tokens, H heads of queries, K heads of keys, G = H / K, D head size, E size of a value's head, F features of
what is laid by head; of one piece R records, L queries and S keys of each, B = K R, M = L G, C = R L or R S.
Source: gradients of softmax attention as in Dao et al. 2022, https://arxiv.org/abs/2205.14135, appendix B.2.
Departs from it: pieces hold all keys that their queries see, so no running maximum is needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graftwork.base.record_pieces import PIECE_SCORES, Piece, pieces


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """The attention of one row of records, as tensors; the same for every layer with its heads and window.

    Attributes:
        parts: in the order in which they are computed.
        place_N: where each token's output stands among those of all parts.
    """

    parts: tuple["Part", ...]
    place_N: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A `Piece` as tensors.

    Attributes:
        queries_C: int64, N where there is none; keys_C likewise.
        shut_MS: 0 or minus infinity, added to the scores; None if every query sees every key.
    """

    num_records: int
    queries_C: Tensor
    keys_C: Tensor
    shut_MS: Tensor | None


def cut_for(
    query_1HND: Tensor,
    key_1KND: Tensor,
    lengths: Sequence[int],
    *,
    shared: int = 0,
    window: int | None = None,
    most_scores: int = PIECE_SCORES,
) -> Cut:
    """How attention of these heads is cut; see `record_pieces.pieces`."""
    num_heads, num_groups = query_1HND.shape[1], query_1HND.shape[1] // key_1KND.shape[1]
    cut = pieces(lengths, shared=shared, window=window, num_heads=num_heads, most_scores=most_scores)
    wide = _wide(query_1HND.dtype)

    @lru_cache
    def shut(first_query: int, num_queries: int, first_key: int, num_keys: int) -> Tensor | None:
        query_L1 = torch.arange(first_query, first_query + num_queries)[:, None]
        far_LS = query_L1 - torch.arange(first_key, first_key + num_keys)
        seen_LS = far_LS >= 0 if window is None else (far_LS >= 0) & (far_LS < window)
        shut_LS = torch.zeros(far_LS.shape, dtype=wide).masked_fill_(~seen_LS, -torch.inf)
        return None if seen_LS.all() else shut_LS.repeat_interleave(num_groups, dim=0)

    def part(one: Piece) -> Part:
        return Part(
            num_records=len(one.queries_RL),
            queries_C=torch.tensor(one.queries_RL).flatten(),
            keys_C=torch.tensor(one.keys_RS).flatten(),
            shut_MS=shut(one.first_query, len(one.queries_RL[0]), one.first_key, len(one.keys_RS[0])),
        )

    parts = tuple(part(one) for one in cut)
    computed_C = torch.cat([one.queries_C for one in parts])
    num_tokens = shared + sum(lengths)
    place_N = torch.empty(num_tokens + 1, dtype=torch.int64)
    place_N[computed_C] = torch.arange(len(computed_C))  # each token is computed once; what is padding goes to the end
    return Cut(parts=parts, place_N=place_N[:num_tokens])


def attend(query_1HND: Tensor, key_1KND: Tensor, value_1KNE: Tensor, cut: Cut, *, scale: float) -> Tensor:
    """Attention of each record to itself and to what all share: output_1NHE."""
    output: Tensor = _RecordAttention.apply(query_1HND, key_1KND, value_1KNE, cut, scale)
    return output


class _RecordAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query_1HND: Tensor, key_1KND: Tensor, value_1KNE: Tensor, cut: Cut, scale: float) -> Tensor:
        ctx.save_for_backward(query_1HND, key_1KND, value_1KNE)
        ctx.cut, ctx.scale = cut, scale
        found = []
        for part, query_BMD, key_BSD, value_BSE in _each(cut, query_1HND, key_1KND, value_1KNE):
            p_BMS = _probabilities(part, query_BMD, key_BSD, scale).to(value_BSE.dtype)
            found.append(_by_token(torch.bmm(p_BMS, value_BSE), key_1KND.shape[1], part.queries_C))
        return _joined(found, cut, query_1HND.shape[1]).to(query_1HND.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query_1HND, key_1KND, value_1KNE = ctx.saved_tensors
        num_heads, wide = key_1KND.shape[1], _wide(query_1HND.dtype)
        d_output_KXF = _by_head(upstream[0].transpose(1, 2), num_heads)
        d_key_KXD, d_value_KXE = (_zeros(t, num_heads, wide) for t in (key_1KND, value_1KNE))
        found = []
        for part, query_BMD, key_BSD, value_BSE in _each(ctx.cut, query_1HND, key_1KND, value_1KNE):
            d_output_BME = _picked(d_output_KXF, part.queries_C, part.num_records, value_1KNE.shape[-1])
            p_BMS = _probabilities(part, query_BMD, key_BSD, ctx.scale)
            d_p_BMS = torch.bmm(d_output_BME, value_BSE.transpose(1, 2)).to(wide)
            d_score_BMS = torch._softmax_backward_data(d_p_BMS, p_BMS, -1, wide)
            d_score_BMS = d_score_BMS.mul_(ctx.scale).to(query_BMD.dtype)
            found.append(_by_token(torch.bmm(d_score_BMS, key_BSD), num_heads, part.queries_C))
            d_key_BSD = torch.bmm(d_score_BMS.transpose(1, 2), query_BMD)
            d_value_BSE = torch.bmm(p_BMS.to(value_BSE.dtype).transpose(1, 2), d_output_BME)
            d_key_KXD.index_add_(1, part.keys_C, _by_token(d_key_BSD, num_heads, part.keys_C).to(wide))
            d_value_KXE.index_add_(1, part.keys_C, _by_token(d_value_BSE, num_heads, part.keys_C).to(wide))
        d_query_1HND = _joined(found, ctx.cut, query_1HND.shape[1]).to(query_1HND.dtype).transpose(1, 2)
        d_key_1KND, d_value_1KNE = (t[None, :, :-1].to(query_1HND.dtype) for t in (d_key_KXD, d_value_KXE))
        return d_query_1HND, d_key_1KND, d_value_1KNE, None, None


def _each(
    cut: Cut, query_1HND: Tensor, key_1KND: Tensor, value_1KNE: Tensor
) -> Iterator[tuple[Part, Tensor, Tensor, Tensor]]:
    """Parts with query_BMD, key_BSD and value_BSE."""
    num_heads = key_1KND.shape[1]
    query_KXF, key_KXD, value_KXE = (_by_head(t, num_heads) for t in (query_1HND, key_1KND, value_1KNE))
    for part in cut.parts:
        yield (
            part,
            _picked(query_KXF, part.queries_C, part.num_records, query_1HND.shape[-1]),
            _picked(key_KXD, part.keys_C, part.num_records, key_1KND.shape[-1]),
            _picked(value_KXE, part.keys_C, part.num_records, value_1KNE.shape[-1]),
        )


def _probabilities(part: Part, query_BMD: Tensor, key_BSD: Tensor, scale: float) -> Tensor:
    """p_BMS, of the softmax's own type."""
    wide = _wide(query_BMD.dtype)
    query_BMD, key_BDS = query_BMD.to(wide), key_BSD.to(wide).transpose(1, 2)
    if part.shut_MS is None:
        return torch.bmm(query_BMD, key_BDS).mul_(scale).softmax(-1)
    return torch.baddbmm(part.shut_MS, query_BMD, key_BDS, alpha=scale).softmax(-1)


def _by_head(tensor_1HNF: Tensor, num_heads: int) -> Tensor:
    """By head of keys, each token's features of all heads of queries that share it; X = N + 1, the last is zero."""
    _, heads, num_tokens, features = tensor_1HNF.shape
    laid_KXF = _zeros(tensor_1HNF, num_heads, _multiplied(tensor_1HNF.dtype))
    by_token_KNGF = tensor_1HNF[0].unflatten(0, (num_heads, heads // num_heads)).transpose(1, 2)
    laid_KXF[:, :num_tokens].unflatten(2, (-1, features)).copy_(by_token_KNGF)
    laid_KXF[:, num_tokens:].zero_()
    return laid_KXF


def _zeros(tensor_1HNF: Tensor, num_heads: int, dtype: torch.dtype) -> Tensor:
    _, heads, num_tokens, features = tensor_1HNF.shape
    return tensor_1HNF.new_zeros(num_heads, num_tokens + 1, heads // num_heads * features, dtype=dtype)


def _picked(laid_KXF: Tensor, at_C: Tensor, num_records: int, features: int) -> Tensor:
    """Those tokens, a matrix for each head of keys and record; heads that share keys are rows side by side."""
    return laid_KXF.index_select(1, at_C).view(laid_KXF.shape[0] * num_records, -1, features)


def _by_token(found_BMF: Tensor, num_heads: int, at_C: Tensor) -> Tensor:
    """As `_picked` found them, features of all heads that share keys together again: (K, C, G F)."""
    return found_BMF.view(num_heads, len(at_C), -1)


def _joined(found_KCF: Sequence[Tensor], cut: Cut, num_heads: int) -> Tensor:
    """What the parts found, in the order of the row: (1, N, H, F)."""
    all_KCF = found_KCF[0] if len(found_KCF) == 1 else torch.cat(list(found_KCF), dim=1)
    in_order_NKF = all_KCF.index_select(1, cut.place_N).transpose(0, 1)
    return in_order_NKF.reshape(1, len(cut.place_N), num_heads, -1)


def _multiplied(dtype: torch.dtype) -> torch.dtype:
    """What products are computed in; those of float16 are slower on a CPU than those of float32."""
    return torch.float32 if dtype == torch.float16 else dtype


def _wide(dtype: torch.dtype) -> torch.dtype:
    """What scores are computed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32
