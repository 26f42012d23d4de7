"""On a CPU, compiled by numba: every token by its own adapters' factors alone, read once, in one loop.

It is there with the extra `cpu`. A token's result does not depend on the other tokens of the batch: not in one bit.
Products are summed up in float32 and rounded once, with the base's output, so a bfloat16 answer is a little nearer to
the exact one than that of the plain way, which rounds in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from graftwork.adapters.row_products.way import WAYS, Second, Way, Work

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.grouped import Side

WORTH = 400_000
"""Multiplications a piece of the batch up to which the loop is faster than two operations of torch: it makes 15 GFLOP/s
on a core, they make 50 but cost 20 microseconds to start."""


class CompiledRows:
    """The factors of several layers one after another, and for each layer and token which rows of them are its own."""

    __slots__ = ("_down", "_down_SI", "_shape", "_table", "seconds")

    def __init__(self, sides: Mapping[str, Side], num_tokens: int) -> None:
        from graftwork.adapters.row_products import loops

        owns = [one.own_N2(num_tokens) for one in sides.values()]
        *starts, width = _starts([int((own_N2[:, 1] - own_N2[:, 0]).max()) for own_N2 in owns])
        first_rows = _starts([one.down_SI.shape[0] for one in sides.values()])
        spans_LN2 = torch.stack([own_N2 + row for own_N2, row in zip(owns, first_rows, strict=False)])
        self._shape = num_tokens, width
        self._down_SI = torch.cat([one.down_SI for one in sides.values()]).contiguous()
        kind = loops.KINDS[self._down_SI.dtype]
        self._table = spans_LN2.numpy(), torch.tensor(starts).numpy(), (*self._down_SI.shape, width), kind
        self._down = loops.down
        self.seconds: Mapping[str, Second] = {
            name: _Second(loops.up, one.up_SO, 4 * start, (own_N2.numpy(), (*one.up_SO.shape, width), kind))
            for (name, one), start, own_N2 in zip(sides.items(), starts, owns, strict=True)
        }

    def first(self, x: Tensor) -> Tensor:
        """Every token by its own adapters' first factors; in float32."""
        x = x.contiguous()
        z_NZ = torch.empty(self._shape)
        self._down(x.data_ptr(), self._down_SI.data_ptr(), z_NZ.data_ptr(), *self._table)
        return z_NZ


class _Second:
    """The second product of a layer."""

    __slots__ = ("_at", "_loop", "_start_bytes", "_table", "_up_SO")

    def __init__(self, loop: Any, up_SO: Tensor, start_bytes: int, table: tuple[Any, ...]) -> None:
        self._loop, self._table, self._start_bytes = loop, table, start_bytes
        self._up_SO, self._at = up_SO, up_SO.data_ptr()  # the tensor is kept so that the address stays good

    def __call__(self, base: Tensor, z_NZ: Tensor) -> Tensor:
        base = base.contiguous()
        whole = torch.empty_like(base)
        at = z_NZ.data_ptr() + self._start_bytes, self._at, base.data_ptr(), whole.data_ptr()
        self._loop(*at, *self._table)
        return whole


def _starts(lengths: list[int]) -> list[int]:
    """Where pieces that lie one after another begin, and where the last one ends.

    >>> _starts([3, 1, 2])
    [0, 3, 4, 6]
    """
    return [0, *accumulate(lengths)]


@cache
def _is_here() -> bool:
    return find_spec("numba") is not None


def takes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the loops know the type, and numba is installed."""
    return device.type == "cpu" and dtype in (torch.bfloat16, torch.float32) and _is_here()


def pays(work: Work) -> bool:
    """Whether a token at a time is faster than a product for each share. Pure.

    >>> pays(Work(16, 16, 128, 128, 1152)), pays(Work(16, 4096, 128, 32768, 1152)), pays(Work(1, 1, 8, 8, 1152))
    (True, False, True)
    """
    return work.own * work.features <= work.shares * WORTH


WAYS.add("compiled", Way(name="compiled", takes=takes, pays=pays, rows=CompiledRows))
