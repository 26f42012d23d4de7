"""Records end to end in one row, without the tokens that nothing depends on. Pure.

In a causal model the state at token i depends on the tokens up to i and predicts token i + 1. So two kinds of state
need not be computed, and what is left has exactly the same gradient:

- behind the last that predicts a target: nothing looks at them;
- those of a beginning that records have in common, such as a system prompt: they are the same in each, so they are
  computed once, stand in front, and every record sees them. Their gradient is the sum of what the records give them.

Legend: N tokens in the row, P states that predict a target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from graftwork.data.encode import Encoded

WORTHWHILE = 8
"""Tokens in common below which records stay whole: what is saved is less than what is spent on two kinds of key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """A row: first the tokens that its records share, then what each has of its own.

    Attributes:
        tokens_N: int64.
        positions_N: int64; of each token in its record, so every record's own begin at `shared`.
        states_P: int64; where in the row a state predicts a target, in order.
        targets_P: int64; what it is to predict.
        lengths: tokens of each record behind those shared, at least 1. Records that predict nothing are left out.
        shared: tokens in front that all records begin with.
        num_tokens: of the records as they were given.
    """

    tokens_N: Tensor
    positions_N: Tensor
    states_P: Tensor
    targets_P: Tensor
    lengths: tuple[int, ...]
    shared: int
    num_tokens: int


def laid_out(records: Sequence[Encoded], *, shares: bool) -> Laid:
    """Lay `records`, at least one, into one row.

    Args:
        shares: whether what they begin with is computed once. Only where a token's state is the same in each of them:
            not with dropout, nor with anything that acts by a token's place in the batch.

    Returns:
        Where none of the records predicts anything, one token of the first, so that the row is not empty.
    """
    needed = [record.tokens_T[: _last_target(record)] for record in records]
    learning = [i for i, tokens in enumerate(needed) if tokens]
    kept = [needed[i] for i in learning] or [records[0].tokens_T[:1]]
    shared = _shared(kept, [records[i] for i in learning]) if shares else 0
    starts = [shared]
    for tokens in kept:
        starts.append(starts[-1] + len(tokens) - shared)
    told = [
        (start + t - 1 - shared, records[i].tokens_T[t])
        for start, i in zip(starts, learning, strict=False)
        for t in range(1, len(needed[i]) + 1)
        if records[i].is_target_T[t]
    ]
    return Laid(
        tokens_N=torch.tensor([*kept[0][:shared], *(token for tokens in kept for token in tokens[shared:])]),
        positions_N=torch.tensor([*range(shared), *(at for tokens in kept for at in range(shared, len(tokens)))]),
        states_P=torch.tensor([state for state, _ in told], dtype=torch.int64),
        targets_P=torch.tensor([target for _, target in told], dtype=torch.int64),
        lengths=tuple(len(tokens) - shared for tokens in kept),
        shared=shared,
        num_tokens=sum(len(record.tokens_T) for record in records),
    )


def _last_target(record: Encoded) -> int:
    """Index of the last target; 0 where there is none, since the first token is never one."""
    return max((t for t, target in enumerate(record.is_target_T) if target), default=0)


def _first_target(record: Encoded) -> int:
    return next(t for t, target in enumerate(record.is_target_T) if target and t)


def _shared(kept: Sequence[Sequence[int]], records: Sequence[Encoded]) -> int:
    """Tokens that all begin with, ending before the first state that predicts a target: each keeps that one itself."""
    if len(kept) < 2:
        return 0
    alike = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*kept, strict=False)))
    shared = min(alike, *(_first_target(record) - 1 for record in records))
    return shared if shared >= WORTHWHILE else 0
