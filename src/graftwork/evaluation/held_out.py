"""Held-out loss: nats per target token, record by record."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import torch

from graftwork.base.head import Halves, row_nats, target_nats
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.data.shared import Laid, laid_out
from graftwork.evaluation.estimate import Estimate, ratio_of

Routed = Callable[[int], AbstractContextManager[object]]
"""Given the rows of a batch, a context in which the model answers as the one under test."""


def target_loss(
    split: Halves, records: Sequence[Encoded], routed: Routed, *, batch_size: int, device: torch.device
) -> Estimate:
    """Loss per target token over all records."""
    nats = record_nats(split, records, routed, batch_size=batch_size, device=device)
    return ratio_of(nats, [record.num_targets for record in records])


def record_nats(
    split: Halves, records: Sequence[Encoded], routed: Routed, *, batch_size: int, device: torch.device
) -> list[float]:
    """Summed loss of each record's target tokens, in nats."""
    nats = [0.0] * len(records)
    for indices in _batches(records, batch_size):
        batch = collate([records[i] for i in indices]).to(device)
        with routed(len(indices)):
            for i, value in zip(indices, row_nats(split, batch.tokens_BT, batch.is_target_BT).tolist(), strict=True):
                nats[i] = value
    return nats


def laid_nats(
    split: Halves,
    records: Sequence[Encoded],
    routed: Callable[[Laid], AbstractContextManager[object]],
    *,
    shares: bool,
    device: torch.device,
) -> list[float]:
    """As `record_nats`, of records end to end in one row.

    Args:
        routed: given that row, a context in which the model answers as the one under test, to each record by itself.
        shares: whether what they begin with is computed once; see `laid_out`.
    """
    laid = laid_out(records, shares=shares)
    with torch.no_grad(), routed(laid):
        hidden_NH = split.hidden_BTH(laid.tokens_N[None].to(device), laid.positions_N[None].to(device))[0]
        nats_P = target_nats(split, hidden_NH[laid.states_P.to(device)], laid.targets_P.to(device))
    return [float(own_P.sum()) for own_P in nats_P.split([record.num_targets for record in records])]


def _batches(records: Sequence[Encoded], size: int) -> Iterator[list[int]]:
    ordered = sorted(range(len(records)), key=lambda i: len(records[i].tokens_T))
    for at in range(0, len(ordered), size):
        yield ordered[at : at + size]
