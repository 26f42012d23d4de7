"""What a kind of hook is.

A hook leaves the module tree, its names and its weights as they are, and is gone without a trace when the last adapter
leaves. At a module with several, those of linear layers act first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwork.core.catalog import Catalog

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.facts import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A kind of hook.

    Attributes:
        attach: hooks what a place needs in the bank's base; what the hooks do follows from `bank.route_now()`.
    """

    name: str
    attach: Callable[[AdapterBank, Place], list[RemovableHandle]]


HOOKS: Catalog[Hook] = Catalog("kind of hook")
