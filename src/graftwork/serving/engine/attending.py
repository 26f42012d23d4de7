"""Attention of one step: of single tokens over their own pages, and of pieces of prompts.

Legend: N tokens, H heads of queries, K heads of keys, D size of a key, E size of a value, S places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftwork.adapters.row_products.compiled import takes
from graftwork.adapters.sites.records import Asked, understood
from graftwork.serving.engine.cache import Cache, places_of

if TYPE_CHECKING:
    from graftwork.adapters.sites.watched import Answer, Attention


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Tokens of one request, one after another.

    Attributes:
        row: of the first of them in the step.
        start: place of the first of them; `end` that behind the last.
        hidden: by attention module, so many places in front that hold nothing for it.
    """

    row: int
    pages: tuple[int, ...]
    start: int
    end: int
    hidden: Mapping[str, int]


class Places:
    """Where the keys and values of tokens go."""

    def __init__(self, stretches: Sequence[Stretch], device: torch.device) -> None:
        rows: list[int] = []
        pages: list[int] = []
        places: list[int] = []
        for one in stretches:
            rows += range(one.row, one.row + one.end - one.start)
            for known, more in zip((pages, places), places_of(one.pages, one.start, one.end), strict=True):
                known += more
        self._rows = torch.tensor(rows, dtype=torch.int64, device=device)
        self._at = torch.tensor(pages, device=device), torch.tensor(places, device=device)

    def put(self, cache: Cache, name: str, key_NKD: Tensor, value_NKE: Tensor) -> None:
        """Keep what the module `name` made of a step's tokens."""
        if len(self._rows):
            cache.put(name, self._at, key_NKD[self._rows], value_NKE[self._rows])


class StepAttention:
    """What `Route.elsewhere` is in one step.

    Args:
        singles: of one token each, in the rows in front.
        pieces: of prompts.
    """

    def __init__(
        self, cache: Cache, singles: Sequence[Stretch], pieces: Sequence[Stretch], device: torch.device
    ) -> None:
        self._cache, self._singles, self._pieces = cache, singles, pieces
        self._of_pieces, self._device = Places(pieces, device), device
        self._both: Places | None = None
        self._pages: dict[tuple[int, ...], Tensor] = {}
        most = max((len(one.pages) for one in singles), default=0)
        self._pages_NM = torch.tensor([[*one.pages, *[0] * (most - len(one.pages))] for one in singles])
        self._ends_N = torch.tensor([one.end for one in singles])
        self._masks: dict[tuple[int, int, int, int | None], Tensor] = {}
        self._starts: dict[tuple[tuple[int, ...], int | None], Tensor] = {}

    def attend(self, name: str, call: Attention) -> Answer:
        """Keep the keys and values of the step, and look at all that each request may see."""
        key_NKD, value_NKE = (tensor[0].transpose(0, 1) for tensor in (call.key_BKSD, call.value_BKSD))
        output = call.query_BHTD.new_zeros(1, len(key_NKD), call.query_BHTD.shape[1], value_NKE.shape[-1])
        if name not in self._cache.asked:
            self._cache.asked[name] = understood(call)
        asked = self._cache.asked[name]
        if asked and takes(output.device, output.dtype):
            self._of_pieces.put(self._cache, name, key_NKD, value_NKE)
            self._compiled(name, call, asked, output)
        else:
            self._of_all().put(self._cache, name, key_NKD, value_NKE)
            for one in self._singles:
                self._plain(name, call, one, output)
        for one in self._pieces:
            self._plain(name, call, one, output)
        return output, None

    def _of_all(self) -> Places:
        if self._both is None:
            self._both = Places((*self._singles, *self._pieces), self._device)
        return self._both

    def _plain(self, name: str, call: Attention, one: Stretch, output_1NHE: Tensor) -> None:
        """As the base computes it, for one request alone."""
        start = one.hidden.get(name, 0)
        rows = slice(one.row, one.row + one.end - one.start)
        if one.pages not in self._pages:
            self._pages[one.pages] = torch.tensor(one.pages, device=self._device)
        keys, values = self._cache.of(name, self._pages[one.pages], start, one.end)
        mask = self._mask(one.start - start, one.end - start, call)
        query = call.query_BHTD[:, :, rows]
        alone = replace(call, query_BHTD=query, key_BKSD=keys, value_BKSD=values, mask=mask)
        output_1NHE[:, rows] = alone.answered()[0]

    def _mask(self, first: int, end: int, call: Attention) -> Tensor | None:
        """What queries `first` to `end` see of keys 0 to `end`; None where it is all of them."""
        window = call.options.get("sliding_window")
        if end - first == 1 and (window is None or window >= end):
            return None
        told = first, end, int(call.mask_is_added), window
        if told not in self._masks:
            device = call.query_BHTD.device
            far_TS = torch.arange(first, end, device=device)[:, None] - torch.arange(end, device=device)
            seen_TS = (far_TS >= 0) if window is None else (far_TS >= 0) & (far_TS < window)
            dtype = call.query_BHTD.dtype
            shut_TS = torch.zeros(seen_TS.shape, dtype=dtype, device=device)
            shut_TS.masked_fill_(~seen_TS, torch.finfo(dtype).min)
            self._masks[told] = (shut_TS if call.mask_is_added else seen_TS)[None, None]
        return self._masks[told]

    def _compiled(self, name: str, call: Attention, asked: Asked, output_1NHE: Tensor) -> None:
        if not self._singles:
            return
        from graftwork.base.compiled import on_all_threads
        from graftwork.serving.engine.attention_loops import rows

        num_rows, heads = len(self._singles), call.query_BHTD.shape[1]
        keys, values = self._cache.keys[name], self._cache.values[name]
        new = (call.query_BHTD, call.key_BKSD, call.value_BKSD)
        query_NHD, key_NKD, value_NKE = (tensor[0, :, :num_rows].transpose(0, 1).contiguous() for tensor in new)
        starts_N, scale = self._starts_N(name, asked.window), self._cache.scale(name)
        tensors = query_NHD, output_1NHE, key_NKD, value_NKE, keys, values
        tables = self._pages_NM, self._ends_N, starts_N, scale
        sizes = num_rows, heads, keys.shape[1], keys.shape[3], values.shape[3], len(keys), self._pages_NM.shape[1]
        on_all_threads(rows[output_1NHE.dtype], *(tensor.data_ptr() for tensor in (*tensors, *tables)), *sizes)

    def _starts_N(self, name: str, window: int | None) -> Tensor:
        """The first place that each single token sees."""
        hidden = tuple(one.hidden.get(name, 0) for one in self._singles)
        if (hidden, window) not in self._starts:
            near = [0 if window is None else one.end - window for one in self._singles]
            self._starts[hidden, window] = torch.tensor([max(pair) for pair in zip(hidden, near, strict=True)])
        return self._starts[hidden, window]
