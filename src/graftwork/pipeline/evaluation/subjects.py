"""Who is evaluated, in memory: adapters of one bank and their base answer together, a model tuned whole by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwork.adapters.asked import positions_in_front
from graftwork.base.quantised import scheme_of
from graftwork.core.digests import digest
from graftwork.evaluation.result import Kind, Subject
from graftwork.pipeline.sides import Side

if TYPE_CHECKING:
    from graftwork.adapters.adapter import Adapter
    from graftwork.adapters.bank import AdapterBank
    from graftwork.base.load import Base


@dataclass(frozen=True, kw_only=True, slots=True)
class AtHand:
    """A subject in memory.

    Attributes:
        subject: as the result tells it; its digest is of all that its answers depend on.
    """

    subject: Subject
    side: Side

    @property
    def name(self) -> str:
        """Unique among those evaluated together."""
        return self.subject.name


def at_hand(side: Side, *, name: str, kind: Kind, about: str = "") -> AtHand:
    """The subject that answers by `side`."""
    return AtHand(subject=Subject(name=name, kind=kind, digest=_digest(side), about=about), side=side)


def by_bank(subjects: Sequence[AtHand]) -> list[tuple[AdapterBank, list[AtHand]]]:
    """Those that may answer in one batch, together; banks in the order of their first."""
    banks = list({id(one.side.bank): one.side.bank for one in subjects}.values())
    return [(bank, [one for one in subjects if one.side.bank is bank]) for bank in banks]


def context_of(subjects: Sequence[AtHand]) -> int | None:
    """The longest input that every subject has room for; None without a limit."""
    rooms = [
        context - _positions_in_front(one.side)
        for one in subjects
        if (context := one.side.bank.base.facts.context_tokens) is not None
    ]
    return min(rooms, default=None)


def _positions_in_front(side: Side) -> int:
    return sum(_in_front(side.bank[handle]) for handle in side.row)


def _in_front(adapter: Adapter) -> int:
    """Of one made elsewhere, whose request nobody knows, what its places say."""
    asked = [here.spec for here in adapter.placed.values()] if adapter.spec is None else [adapter.spec]
    return max(map(positions_in_front, asked), default=0)


def _digest(side: Side) -> str:
    """Of weights and of how they are computed with: the same replies are expected of the same."""
    base: Base = side.bank.base
    config = base.model.config
    told = {
        "base": base.fingerprint.digest,
        "dtype": str(base.model.dtype),
        "quantised": scheme_of(base.model),
        "attention": getattr(config, "_attn_implementation", ""),
        "adapters": [side.bank[handle].digest() for handle in side.row],
    }
    return digest(told)
