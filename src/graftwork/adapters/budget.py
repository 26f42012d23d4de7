"""Which adapters leave a bank to make room for one more. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from graftwork.core.errors import CapacityError

H = TypeVar("H")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept(Generic[H]):
    """One adapter in a bank.

    Attributes:
        num_bytes: of its tensors.
        is_free_to_go: whether no route holds it and nobody pinned it.
    """

    handle: H
    num_bytes: int
    is_free_to_go: bool


def to_evict(needed_bytes: int, budget_bytes: int, kept: Iterable[Kept[H]]) -> list[H]:
    """The adapters to take out so that `needed_bytes` more fit, the first that may go first; as few as that needs.

    Args:
        kept: what the bank holds, the least recently routed first.

    Raises:
        CapacityError: not even without all that may go.

    >>> held = [Kept(handle=n, num_bytes=40, is_free_to_go=n != 1) for n in (1, 2, 3)]
    >>> to_evict(30, 130, held), to_evict(0, 130, held)
    ([2], [])
    """
    held = list(kept)
    free = budget_bytes - sum(one.num_bytes for one in held)
    leaving: list[H] = []
    for one in held:
        if free >= needed_bytes:
            break
        if one.is_free_to_go:
            leaving.append(one.handle)
            free += one.num_bytes
    if free < needed_bytes:
        raise CapacityError(
            f"the adapter needs {needed_bytes:,} bytes; of the bank's {budget_bytes:,} at most {max(free, 0):,} can be "
            "freed, the rest is pinned or in use. Raise the bank's budget, unpin adapters, or let routes end."
        )
    return leaving
