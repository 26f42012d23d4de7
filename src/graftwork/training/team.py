"""Who shares the work of an optimizer step: one process alone, or several that come to the same bits. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Team(Protocol):
    """The processes that train one adapter together, seen from one of them."""

    def accumulated(self, number: int, leaves: Sequence[Tensor], one: Callable[[int], float]) -> list[float]:
        """Have every micro-batch of a step computed by somebody.

        Args:
            number: micro-batches of the step.
            leaves: what is trained, the same here and everywhere. Afterwards its gradients are those of the whole step.
            one: adds the gradient of the micro-batch of that number to the leaves and gives its loss.

        Returns:
            The loss of every micro-batch, in their order.

        Raises:
            WorkError: another process is gone, or failed.
            IntegrityError: the leaves are not the same everywhere.
        """
        ...

    def any_of(self, yes: bool) -> bool:
        """Whether it is so in any of the processes."""
        ...


class Alone:
    """One process: it computes all."""

    def accumulated(self, number: int, leaves: Sequence[Tensor], one: Callable[[int], float]) -> list[float]:
        """Each in turn."""
        return [one(index) for index in range(number)]

    def any_of(self, yes: bool) -> bool:
        """Its own word."""
        return yes


ALONE = Alone()
"""The usual team."""


def round_of(first: int, *, rank: int, size: int, number: int) -> int | None:
    """The micro-batch that `rank` computes in the round that begins with micro-batch `first`; None when none is left.

    Neighbours in a round are of like length, because a step's micro-batches are sorted by it: nobody waits long.

    >>> [[round_of(first, rank=rank, size=2, number=3) for first in (0, 2)] for rank in (0, 1)]
    [[0, 2], [1, None]]
    """
    index = first + rank
    return index if index < number else None
