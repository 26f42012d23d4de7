"""What of the frozen base a method may see at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from graftwork.base.quantised import QuantisedLinear
from graftwork.base.tensors import whole

if TYPE_CHECKING:
    from graftwork.base.facts import Place


class FrozenModule:
    """A module of the base, seen as what stands at a place."""

    __slots__ = ("module", "place")

    def __init__(self, place: Place, module: nn.Module) -> None:
        self.place, self.module = place, module

    @property
    def weight(self) -> Tensor:
        """As (out, in), (experts, out, in) or (vocabulary, features), whichever way it is stored; a view.

        Of a layer in 8 or 4 bits it is the weight that it computes with, made anew.
        """
        if isinstance(self.module, QuantisedLinear):
            return self.module.weight
        weight = self.stored
        flipped = isinstance(self.module, Conv1D) or getattr(self.place, "transposed", False)
        return weight.mT if flipped else weight

    @property
    def stored(self) -> Tensor:
        """The weight as it is stored; codes in 8 or 4 bits. Of a layer that is spread over processes, all of it."""
        if isinstance(self.module, QuantisedLinear):
            return self.module.codes
        weight = getattr(self.module, getattr(self.place, "parameter", "weight"))
        assert isinstance(weight, Tensor)
        return whole(weight)

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


def hooked(place: Place) -> str:
    """The module that holds a place; projections of experts share theirs."""
    name: str = getattr(place, "module", place.name)
    return name
