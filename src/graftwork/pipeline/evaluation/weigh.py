"""Likelihoods of given answers: for each question and subject the answers lie in one row, their prompt computed once.

Where a base computes attention in a way that cannot be cut by record, they are rows of their own, padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.route import Group
from graftwork.adapters.sites.groups import groups_problems
from graftwork.base.head import target_nats
from graftwork.data.shared import Laid, laid_out
from graftwork.evaluation.held_out import record_nats
from graftwork.training.passes import APART

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.data.encode import Encoded
    from graftwork.pipeline.sides import Side


def weighed(asked: Sequence[tuple[Side, Sequence[Encoded]]]) -> list[list[float]]:
    """For each side, all of one bank, and the records it is asked about: nats of their targets, record by record."""
    bank = asked[0][0].bank
    if groups_problems(bank):
        return [_padded(side, records) for side, records in asked]
    laid = [laid_out(records, shares=_may_share(bank, side.row)) for side, records in asked]
    nats_P = _nats(bank, [side.row for side, _ in asked], laid)
    counts = [record.num_targets for _, records in asked for record in records]
    sums = iter([float(own_P.sum()) for own_P in nats_P.split(counts)])
    return [[next(sums) for _ in records] for _, records in asked]


def _nats(bank: AdapterBank, rows: Sequence[tuple[Handle, ...]], laid: Sequence[Laid]) -> torch.Tensor:
    """nats_P of all targets, in order."""
    base = bank.base
    tokens_N = torch.cat([one.tokens_N for one in laid]).to(base.device)
    positions_N = torch.cat([one.positions_N for one in laid]).to(base.device)
    groups = [(row, Group(one.lengths, one.shared)) for row, one in zip(rows, laid, strict=True)]
    with torch.no_grad(), bank.route_groups(groups):
        hidden_NH = base.halves.hidden_BTH(tokens_N[None], positions_N[None])[0]
    pieces = hidden_NH.split([len(one.tokens_N) for one in laid])
    states_PH = torch.cat([own[one.states_P.to(base.device)] for own, one in zip(pieces, laid, strict=True)])
    return target_nats(base.halves, states_PH, torch.cat([one.targets_P for one in laid]).to(base.device))


def _padded(side: Side, records: Sequence[Encoded]) -> list[float]:
    def routed(num_rows: int) -> AbstractContextManager[object]:
        return side.routed(num_rows)

    base = side.bank.base
    return record_nats(base.halves, records, routed, batch_size=len(records), device=base.device)


def _may_share(bank: AdapterBank, row: Sequence[Handle]) -> bool:
    return not {here.method.site for handle in row for here in bank[handle].placed.values()} & APART
