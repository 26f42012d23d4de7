"""Encoded records to tensors.

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
    """

    tokens_BT: Tensor
    is_target_BT: Tensor
    num_tokens: int
    num_targets: int

    def to(self, device: torch.device) -> "Batch":
        """The same on `device`."""
        return Batch(
            tokens_BT=self.tokens_BT.to(device),
            is_target_BT=self.is_target_BT.to(device),
            num_tokens=self.num_tokens,
            num_targets=self.num_targets,
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
