"""In plain torch, on any device: all tokens by the factors of all adapters, then the columns of others set to zero.

    z = x cat(s_k A_k)^T,   z[n, columns of others than n's adapters] = 0,   y = base + z cat(B_k)^T

Columns of others are filled with zero, not multiplied by it, so that what overflows in one adapter never reaches
another's rows.

Source: the idea of one product for all adapters' first factors: LoRAFusion, https://arxiv.org/abs/2510.00206.
Departs from it: it multiplies every token by the factors of all adapters and then cuts; here the second product takes
all columns too, since for one token a row an operation costs more than its multiplications.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.row_products.way import WAYS, Second, Way, Work

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.grouped import Side

OPERATION_FLOPS = 1_000_000
"""Multiplications that take as long as starting one operation: some 10 microseconds of a core at 100 GFLOP/s."""


class PlainRows:
    """The factors of several layers one after another, and for each token which columns are others'."""

    __slots__ = ("_down_SI", "_is_others_NS", "seconds")

    def __init__(self, sides: Mapping[str, Side], num_tokens: int) -> None:
        widths = [one.down_SI.shape[0] for one in sides.values()]
        columns = [slice(end - width, end) for width, end in zip(widths, accumulate(widths), strict=True)]
        self.seconds: Mapping[str, Second] = {
            name: partial(_second, one.up_SO, its) for (name, one), its in zip(sides.items(), columns, strict=True)
        }
        self._down_SI = torch.cat([one.down_SI for one in sides.values()])
        are_others_NS = torch.cat([_others_NS(one, num_tokens) for one in sides.values()], dim=1)
        self._is_others_NS = are_others_NS.to(self._down_SI.device) if are_others_NS.any() else None

    def first(self, x: Tensor) -> Tensor:
        """All tokens by all adapters' first factors."""
        z_NS = x.reshape(-1, x.shape[-1]) @ self._down_SI.T
        return z_NS if self._is_others_NS is None else z_NS.masked_fill_(self._is_others_NS, 0)


def _second(up_SO: Tensor, columns: slice, base: Tensor, z_NS: Tensor) -> Tensor:
    """The layer's columns by its adapters' second factors."""
    if not up_SO.shape[0]:
        return base
    whole_NO: Tensor = base.reshape(-1, base.shape[-1]).addmm(z_NS[:, columns], up_SO)
    return whole_NO.view(base.shape)


def _others_NS(one: Side, num_tokens: int) -> Tensor:
    column_S = torch.arange(one.down_SI.shape[0])
    own_N2 = one.own_N2(num_tokens)
    return (column_S < own_N2[:, :1]) | (column_S >= own_N2[:, 1:])


def pays(work: Work) -> bool:
    """Whether one product over all columns is faster than a product for each share. Pure.

    >>> pays(Work(16, 16, 128, 128, 1152)), pays(Work(16, 4096, 128, 32768, 1152)), pays(Work(1, 1, 8, 8, 1152))
    (True, False, True)
    """
    wasted = work.num_tokens * work.ranks * work.features * (1 - 1 / work.shares)
    return wasted <= 2 * work.shares * OPERATION_FLOPS


WAYS.add("plain", Way(name="plain", takes=lambda device, dtype: True, pays=pays, rows=PlainRows))
