"""Encoded records to tensors: a row each, or end to end in one row.

Rows are padded on the right, so a causal model never looks at padding from a real token and needs no mask for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graftwork.data.encode import Encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch of B rows of T tokens.

    Attributes:
        tokens_BT: int64; 0 in padding.
        is_target_BT: bool; true where the token is to be learned. Never in the first column, never in padding.
        num_tokens: tokens that are not padding.
        positions_BT: int64; of packed rows, counted from 0 in each record; None where a row is one record.
    """

    tokens_BT: Tensor
    is_target_BT: Tensor
    num_tokens: int
    num_targets: int
    positions_BT: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same on `device`."""
        return Batch(
            tokens_BT=self.tokens_BT.to(device),
            is_target_BT=self.is_target_BT.to(device),
            num_tokens=self.num_tokens,
            num_targets=self.num_targets,
            positions_BT=None if self.positions_BT is None else self.positions_BT.to(device),
        )


def collate(records: Sequence[Encoded]) -> Batch:
    """One batch of `records`, at least one, padded on the right to the longest."""
    longest = max(len(record.tokens_T) for record in records)
    tokens_BT = torch.zeros(len(records), longest, dtype=torch.int64)
    is_target_BT = torch.zeros(len(records), longest, dtype=torch.bool)
    for row, record in enumerate(records):
        tokens_BT[row, : len(record.tokens_T)] = torch.tensor(record.tokens_T)
        is_target_BT[row, : len(record.tokens_T)] = torch.tensor(record.is_target_T)
    is_target_BT[:, 0] = False
    return Batch(
        tokens_BT=tokens_BT,
        is_target_BT=is_target_BT,
        num_tokens=sum(len(record.tokens_T) for record in records),
        num_targets=int(is_target_BT.sum()),
    )


def collate_packed(records: Sequence[Encoded]) -> Batch:
    """`records`, at least one, end to end in one row without padding."""
    tokens_T = torch.tensor([token for record in records for token in record.tokens_T])
    is_target_T = torch.tensor([target for record in records for target in (False, *record.is_target_T[1:])])
    positions_T = torch.cat([torch.arange(len(record.tokens_T)) for record in records])
    return Batch(
        tokens_BT=tokens_T[None],
        is_target_BT=is_target_T[None],
        num_tokens=len(tokens_T),
        num_targets=int(is_target_T.sum()),
        positions_BT=positions_T[None],
    )
