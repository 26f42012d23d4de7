"""Whether a row's products depend on how many rows are multiplied with it: measured on the base's own layers.

A library for products may take another kernel for few rows, or for those left over behind a multiple of some number.
Where that changes a last bit, an answer could depend on what else is in the batch. So rows are filled up to a multiple
that was seen to change nothing, and only to few numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftwork.adapters.bank import AdapterBank

MULTIPLES = (1, 2, 4, 8, 16, 32)
TRIED = (1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 17, 20, 24, 31, 32, 33, 48, 64, 65, 96, 100, 128, 192, 224)
LEAST_ROWS, MOST_ROWS = 32, 512
"""Rows that are multiplied: in bfloat16 another order of a sum is seen in one of ten thousand numbers."""
STEPS, LAST_STEP = ((16, 1), (64, 8)), 32
"""Up to so many rows, the step in which their number goes; and the one beyond."""
PRODUCTS = 1 << 28
"""Multiplications for one look at a layer, above which it gets fewer rows."""


@torch.no_grad()
def steady_multiple(bank: AdapterBank) -> int | None:
    """The least multiple of rows with which every row is the same, to the bit, however many there are; None if no
    multiple up to 32 does it."""
    layers = list(_layers(bank))
    for multiple in MULTIPLES:
        if all(_is_steady(layer, multiple) for layer in layers):
            return multiple
    return None


def filled_up(num: int, multiple: int) -> int:
    """`num` filled up to a multiple, and to one of few numbers: for each number of rows a library for products keeps
    what it made for it, hundreds of megabytes in all if every number came.

    >>> [filled_up(num, 2) for num in (0, 5, 16, 17, 63, 65, 129)]
    [0, 6, 16, 24, 64, 96, 160]
    """
    step = next((step for most, step in STEPS if num <= most), LAST_STEP)
    step = max(step, multiple)
    return -(-num // step) * step


def _layers(bank: AdapterBank) -> Iterator[nn.Module]:
    """One linear layer of each form, and the head."""
    seen = set()
    for place in bank.host.facts.places:
        module = bank.module(place.name)
        shape = tuple(bank.frozen(place).weight.shape)
        if shape not in seen:
            seen.add(shape)
            yield module
    head = bank.host.model.get_output_embeddings()
    if head is not None:
        yield head


def _is_steady(layer: nn.Module, multiple: int) -> bool:
    features = getattr(layer, "in_features", None) or getattr(layer, "nx", None) or _columns(layer)
    parameter = next(layer.parameters(), None)
    dtype = parameter.dtype if parameter is not None and parameter.is_floating_point() else torch.float32
    device = parameter.device if parameter is not None else torch.device("cpu")
    drawn = torch.Generator().manual_seed(0)
    num_out = layer(torch.zeros(1, features, dtype=dtype, device=device)).shape[-1]
    num_rows = min(MOST_ROWS, max(LEAST_ROWS, PRODUCTS // (features * num_out)))
    x_NI = torch.randn(num_rows, features, generator=drawn).to(dtype).to(device)
    whole_NO = layer(x_NI)
    counts = {filled_up(num, multiple) for num in TRIED if num < num_rows}
    return all(torch.equal(_in_pieces(layer, x_NI, num), whole_NO[: num_rows // num * num]) for num in counts)


def _in_pieces(layer: nn.Module, x_NI: Tensor, num: int) -> Tensor:
    return torch.cat([layer(piece) for piece in x_NI[: len(x_NI) // num * num].split(num)])


def _columns(layer: nn.Module) -> int:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return int(weight.shape[-1])
