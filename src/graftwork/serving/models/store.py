"""Where an engine's adapters live: a bank in this process, or another engine's own memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.base.load import Base

PutIn = Callable[[], tuple["Handle", ...]]
"""Puts adapters in, all or none; the row that they answer for. In the engine's thread, between two steps."""


class AdapterStore(Protocol):
    """Holds what requests can be answered with; whether it acts is for the proof to say."""

    @property
    def base(self) -> Base:
        """What adapters are read for."""

    @property
    def most(self) -> int | None:
        """Most versions that it holds; None where memory is the only limit."""

    def ready(self, adapters: Sequence[Adapter], name: str) -> AbstractContextManager[PutIn]:
        """Have adapters ready to be put in; entered in a loader's thread, left when they are in memory and proved.

        Args:
            adapters: one on top of the other, the lowest first.
            name: for messages.

        Raises:
            SpecError: what they compute cannot be computed here.
            IntegrityError: the base has no such places, or the engine refuses them.
            CapacityError: there is no room.
        """

    def take_out(self, row: tuple[Handle, ...]) -> None:
        """Let go of what was put in; in the engine's thread, between two steps."""


class BankStore:
    """A bank as an `AdapterStore`."""

    most: int | None = None

    def __init__(self, bank: AdapterBank) -> None:
        self._bank, self.base = bank, bank.base

    @contextmanager
    def ready(self, adapters: Sequence[Adapter], name: str) -> Iterator[PutIn]:
        """As `AdapterStore.ready`."""
        yield partial(self._put_in, adapters, name)

    def take_out(self, row: tuple[Handle, ...]) -> None:
        """As `AdapterStore.take_out`."""
        for handle in row:
            self._bank.remove(handle)

    def _put_in(self, adapters: Sequence[Adapter], name: str) -> tuple[Handle, ...]:
        row: list[Handle] = []
        try:
            for adapter in adapters:
                row.append(self._bank.add(adapter, name=name))
        except BaseException:
            self.take_out(tuple(row))
            raise
        return tuple(row)


def share_bytes(budget_bytes: int, most: int | None) -> int:
    """The least bytes that a version counts for, so that no more than `most` of them are planned within the budget.

    >>> share_bytes(100, 3), share_bytes(100, None)
    (26, 0)
    """
    return 0 if most is None else budget_bytes // (most + 1) + 1
