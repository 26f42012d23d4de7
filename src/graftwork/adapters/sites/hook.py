"""What a kind of hook is.

A hook leaves the module tree, its names and its weights as they are, and is gone without a trace when the last adapter
leaves. At a module with several, the order in which adapters were put in makes no difference: before the module input
gains act first, after it the updates of linear layers do.

A forward pass in another thread may have set out with a hook that is being taken off: torch then calls it without the
keyword arguments that it was registered for, and it has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graftwork.core.catalog import Catalog

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Placed
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.facts import Place
    from graftwork.core.errors import Problem


class Removable(Protocol):
    """Something of ours on the base."""

    def remove(self) -> None:
        """Take it off."""
        ...


def _none(bank: AdapterBank, here: Placed) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A kind of hook.

    Attributes:
        attach: hooks what a place needs in the bank's base; what the hooks do follows from `bank.route_now()`.
        problems: why it cannot act there, found before anything is changed; nothing if it can.
    """

    name: str
    attach: Callable[[AdapterBank, Place], Sequence[Removable]]
    problems: Callable[[AdapterBank, Placed], Iterable[Problem]] = _none


HOOKS: Catalog[Hook] = Catalog("kind of hook")
