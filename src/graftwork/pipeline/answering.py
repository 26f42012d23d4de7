"""What computes a server's answers, whichever engine it is, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.serving.interface import Engine
    from graftwork.serving.models.store import AdapterStore
    from graftwork.serving.operations.receipts import EngineNote


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """An engine that has begun.

    Attributes:
        bank: speaks for the base; it computes where the engine is our own.
        store: where adapters of a registry go.
        note: of the engine, for receipts.
        context_tokens: most tokens of a prompt and its answer; None where nothing limits them.
        warnings: what whoever starts it should know, in words.
    """

    bank: AdapterBank
    engine: Engine
    store: AdapterStore
    note: EngineNote
    context_tokens: int | None
    warnings: tuple[str, ...]
