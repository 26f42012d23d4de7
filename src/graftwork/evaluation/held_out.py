"""Held-out loss: nats per target token, record by record."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import torch

from graftwork.base.head import Halves, row_nats
from graftwork.data.collate import collate
from graftwork.data.encode import Encoded
from graftwork.evaluation.estimate import Estimate, ratio_of

Routed = Callable[[int], AbstractContextManager[object]]
"""Given the rows of a batch, a context in which the model answers as the one under test."""


def target_loss(
    split: Halves, records: Sequence[Encoded], routed: Routed, *, batch_size: int, device: torch.device
) -> Estimate:
    """Loss per target token over all records."""
    nats = [0.0] * len(records)
    for indices in _batches(records, batch_size):
        batch = collate([records[i] for i in indices]).to(device)
        with routed(len(indices)):
            for i, value in zip(indices, row_nats(split, batch.tokens_BT, batch.is_target_BT).tolist(), strict=True):
                nats[i] = value
    return ratio_of(nats, [record.num_targets for record in records])


def _batches(records: Sequence[Encoded], size: int) -> Iterator[list[int]]:
    ordered = sorted(range(len(records)), key=lambda i: len(records[i].tokens_T))
    for at in range(0, len(ordered), size):
        yield ordered[at : at + size]
