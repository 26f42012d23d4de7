"""What of the frozen base a method may see at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from graftwork.base.facts import Place


class FrozenModule:
    """A module of the base, seen as what stands at a place."""

    __slots__ = ("module", "place")

    def __init__(self, place: Place, module: nn.Module) -> None:
        self.place, self.module = place, module

    @property
    def weight(self) -> Tensor:
        """As (out, in), (experts, out, in) or (vocabulary, features), whichever way it is stored; a view."""
        weight = self.stored
        flipped = isinstance(self.module, Conv1D) or getattr(self.place, "transposed", False)
        return weight.mT if flipped else weight

    @property
    def stored(self) -> Tensor:
        """The weight as it is stored."""
        weight = getattr(self.module, getattr(self.place, "parameter", "weight"))
        assert isinstance(weight, Tensor)
        return weight

    def looked_up(self, tokens_P: Tensor) -> Tensor:
        """What a table of embeddings gives for tokens, scaled as the base scales it: rows_PH."""
        with torch.no_grad():
            rows_PH: Tensor = self.module(tokens_P.to(self.stored.device))
        return rows_PH

    @property
    def bias_O(self) -> Tensor | None:
        """The bias of a linear layer."""
        bias = getattr(self.module, "bias", None)
        return bias if isinstance(bias, Tensor) else None
