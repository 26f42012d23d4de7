"""The cache: keys and values of every layer, in pages, in memory that is taken once.

Legend: P pages, K heads of keys, T places a page, D size of a key, E size of a value, N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.route import Route, Segment
from graftwork.adapters.sites.context import body_of
from graftwork.adapters.sites.elsewhere import kept_elsewhere
from graftwork.serving.engine.pages import PAGE_TOKENS

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.adapters.sites.records import Asked
    from graftwork.adapters.sites.watched import Answer, Attention


@dataclass(frozen=True, slots=True)
class Layer:
    """What one attention module keeps of a token."""

    num_heads: int
    key_size: int
    value_size: int


class Cache:
    """Keys and values by attention module.

    Attributes:
        keys: keys_PKTD by module.
        values: values_PKTE by module.
        asked: what is known of the attention of each module that was seen; None of one that is the base's own affair.
    """

    def __init__(self, layers: Mapping[str, Layer], num_pages: int, dtype: torch.dtype, device: torch.device) -> None:
        self.num_pages = num_pages
        self.asked: dict[str, Asked | None] = {}
        self._scales: dict[str, Tensor] = {}

        def made(heads: int, size: int) -> Tensor:
            return torch.zeros(num_pages, heads, PAGE_TOKENS, size, dtype=dtype, device=device)

        self.keys = {name: made(one.num_heads, one.key_size) for name, one in layers.items()}
        self.values = {name: made(one.num_heads, one.value_size) for name, one in layers.items()}

    def put(self, name: str, at: tuple[Tensor, Tensor], key_NKD: Tensor, value_NKE: Tensor) -> None:
        """Keep what the module `name` made of tokens.

        Args:
            at: page_N and place_N within it.
        """
        self.keys[name][at[0], :, at[1]] = key_NKD
        self.values[name][at[0], :, at[1]] = value_NKE

    def scale(self, name: str) -> Tensor:
        """What scores of a module are multiplied by, as one number in float32."""
        asked = self.asked[name]
        assert asked is not None
        if name not in self._scales:
            self._scales[name] = torch.tensor(asked.scale, dtype=torch.float32)
        return self._scales[name]

    def put_front(self, left: Mapping[str, tuple[Tensor, Tensor]], pages: Sequence[int], first: int, end: int) -> None:
        """Keep what lies in front of a request, from place `first` on: it ends at place `end` in every module."""
        for name, (key_PKD, value_PKE) in left.items():
            start = max(first, end - len(key_PKD))
            page_N, place_N = (torch.tensor(numbers, dtype=torch.int64) for numbers in places_of(pages, start, end))
            num = end - start
            self.put(name, (page_N, place_N), key_PKD[len(key_PKD) - num :], value_PKE[len(value_PKE) - num :])

    def of(self, name: str, pages: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
        """key_1KSD and value_1KSE of places `start` to `end` of a request with these pages."""
        return self._whole(self.keys[name], pages, start, end), self._whole(self.values[name], pages, start, end)

    def _whole(self, kept_PKTD: Tensor, pages: Tensor, start: int, end: int) -> Tensor:
        return kept_PKTD.index_select(0, pages).transpose(0, 1).flatten(1, 2)[None, :, start:end]


def bytes_per_page(layers: Mapping[str, Layer], dtype: torch.dtype) -> int:
    """Of all layers."""
    numbers = sum(one.num_heads * (one.key_size + one.value_size) for one in layers.values())
    return numbers * PAGE_TOKENS * dtype.itemsize


def places_of(pages: Sequence[int], start: int, end: int) -> tuple[list[int], list[int]]:
    """Page and place within it of places `start` to `end`.

    >>> places_of([7, 3], 63, 65)
    ([7, 3], [63, 0])
    """
    at = range(start, end)
    return [pages[place // PAGE_TOKENS] for place in at], [place % PAGE_TOKENS for place in at]


def layers_of(bank: AdapterBank) -> dict[str, Layer]:
    """What each attention module of the bank's base keeps: seen on a few tokens.

    Raises:
        SpecError: the base computes attention in a way that cannot be cut.
    """
    seen = _Seen()
    tokens_1T = torch.arange(4, device=bank.host.device)[None]
    route = Route([Segment(0, 4, ())], unit="tokens", training=False)
    route.elsewhere = seen
    with torch.no_grad(), kept_elsewhere(bank), bank.entered(route):
        body_of(bank)(input_ids=tokens_1T, position_ids=tokens_1T, use_cache=False)
    return seen.layers


class _Seen:
    """Attention as the base computes it, written down."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}

    def attend(self, name: str, call: Attention) -> Answer:
        key, value = call.key_BKSD, call.value_BKSD
        self.layers[name] = Layer(key.shape[1], key.shape[3], value.shape[3])
        return call.answered()
