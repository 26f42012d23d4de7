"""The tensors of one adapter as parts of one stretch of memory a type.

One allocation instead of hundreds; and they count their changes together, so that whoever watches an adapter reads one
counter and not one a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TypeVar

from torch import Tensor

K = TypeVar("K")
ALIGNMENT_BYTES = 64
"""Every part begins at a whole cache line."""


def laid_together(tensors: Mapping[K, Tensor]) -> dict[K, Tensor]:
    """The same values in the same order, each a contiguous part of one tensor of its type and device.

    >>> parts = laid_together({"a": torch.ones(2, 3), "b": torch.zeros(5)})
    >>> parts["a"]._base is parts["b"]._base, parts["b"].storage_offset()
    (True, 16)
    """
    laid: dict[K, Tensor] = {}
    for kind in dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors.values()):
        laid |= _laid({key: t for key, t in tensors.items() if (t.dtype, t.device) == kind})
    return {key: laid[key] for key in tensors}


def watched(tensor: Tensor) -> Tensor:
    """Whose counter tells that `tensor` has changed: the whole that it is a part of, or itself."""
    return tensor if tensor._base is None else tensor._base


def _laid(tensors: Mapping[K, Tensor]) -> dict[K, Tensor]:
    first = next(iter(tensors.values()))
    per_line = ALIGNMENT_BYTES // first.element_size()
    ends = list(accumulate(-(-tensor.numel() // per_line) * per_line for tensor in tensors.values()))
    whole = first.new_zeros(ends[-1])
    return {
        key: whole[start : start + tensor.numel()].view(tensor.shape).copy_(tensor.detach())
        for (key, tensor), start in zip(tensors.items(), [0, *ends], strict=False)
    }
