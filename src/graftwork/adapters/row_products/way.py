"""What a way to make the products of many adapters is.

Legend: N tokens, I in features, O out features, S ranks of all adapters side by side, Z columns of what a way keeps
between the two products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graftwork.core.catalog import Catalog

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from graftwork.adapters.grouped import Side


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do at one layer.

    Attributes:
        shares: pieces of the batch with an adapter of their own.
        ranks: of all adapters together.
        own: over all tokens, the ranks of a token's own adapters.
        features: in and out together.
    """

    shares: int
    num_tokens: int
    ranks: int
    own: int
    features: int


Second = Callable[["Tensor", "Tensor"], "Tensor"]
"""Of what the frozen layer gave, features last, and z_NZ: the layer's output, in a tensor of its own."""


class Rows(Protocol):
    """The two products at layers with the same input, for one route."""

    @property
    def seconds(self) -> Mapping[str, Second]:
        """The second products, by layer."""
        ...

    def first(self, x: Tensor) -> Tensor:
        """z_NZ, for all layers at once, of inputs with features last."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way.

    Attributes:
        takes: whether it can work there, in that type.
        pays: whether it is faster than a product for each piece of the batch.
        rows: from the factors of layers, by name, and the number of tokens.
    """

    name: str
    takes: Callable[[torch.device, torch.dtype], bool]
    pays: Callable[[Work], bool]
    rows: Callable[[Mapping[str, Side], int], Rows]


WAYS: Catalog[Way] = Catalog("way to make products")
