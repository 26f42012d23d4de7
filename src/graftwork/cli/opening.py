"""An adapter's folder, opened on its base, with all that it stands on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.card import Card
from graftwork.adapters.standing import standing
from graftwork.base.facts import Quantised
from graftwork.base.load import DTYPES, DtypeName, load_base
from graftwork.core.errors import Problem, SpecError, did_you_mean


@dataclass(frozen=True, slots=True)
class Opened:
    """A bank with an adapter in it, and the adapter's card.

    Attributes:
        row: the adapter behind all that it stands on, the lowest first: whose a row is.
    """

    bank: AdapterBank
    row: tuple[Handle, ...]
    card: Card | None

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Those of the row."""
        return tuple(self.bank[handle] for handle in self.row)

    @property
    def system(self) -> str | None:
        """The system message that its training put before records without one."""
        data = _recipe(self.card).get("data")
        told = data.get("system") if isinstance(data, dict) else None
        return told if isinstance(told, str) else None


def open_adapter(path: Path, base: str | None, dtype: str | None, quantised: str | None = None) -> Opened:
    """Load the adapter at `path`, and all that it stands on, on their base, strictly.

    Args:
        base: what to call the base instead of what the adapter's card says.
        dtype: number format; None for the one of the adapter's training.
        quantised: off, int8 or int4; None for what it was in the adapter's training.

    Raises:
        SpecError: no such number format; or no base is known, because the adapter comes from elsewhere.
        GraftworkError: as loading a base or an adapter does.
    """
    if dtype is not None and dtype not in DTYPES:
        raise SpecError([Problem("--dtype", dtype, f"one of {', '.join(DTYPES)}", did_you_mean(dtype, DTYPES))])
    if quantised is not None and quantised not in (known := get_args(Quantised)):
        hint = did_you_mean(quantised, known)
        raise SpecError([Problem("--quantised", quantised, f"one of {', '.join(known)}", hint)])
    *_, upper = standing(path)
    card = upper.card
    ref = base or (card.base.ref if card else None)
    if ref is None:
        raise SpecError(
            [Problem("--base", None, "the base of this adapter", f"{upper.folder} has no card that names one.")]
        )
    chosen: DtypeName = dtype or _trained_with(card)  # type: ignore[assignment]  # checked above
    bits: Quantised = quantised or (card.base.quantised if card else "off")  # type: ignore[assignment]
    bank = AdapterBank(load_base(ref, dtype=chosen, quantised=bits))
    return Opened(bank, bank.load_standing(path), card)


def _recipe(card: Card | None) -> dict[str, Any]:
    """The recipe that an adapter's card says it comes from; empty when it says none."""
    told = card.provenance.get("recipe") if card else None
    return told if isinstance(told, dict) else {}


def _trained_with(card: Card | None) -> str:
    told = _recipe(card).get("dtype")
    return told if isinstance(told, str) and told in DTYPES else "bfloat16"
