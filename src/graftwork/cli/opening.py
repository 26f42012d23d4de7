"""An adapter's folder, opened on its base."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.card import Card
from graftwork.adapters.files import read_card
from graftwork.base.load import DTYPES, DtypeName, load_base
from graftwork.core.errors import Problem, SpecError, did_you_mean


@dataclass(frozen=True, slots=True)
class Opened:
    """A bank with one adapter in it, and the adapter's card."""

    bank: AdapterBank
    handle: Handle
    card: Card | None

    @property
    def system(self) -> str | None:
        """The system message that its training put before records without one."""
        data = _recipe(self.card).get("data")
        told = data.get("system") if isinstance(data, dict) else None
        return told if isinstance(told, str) else None


def adapter_folder(path: Path) -> Path:
    """The adapter's folder: `path`, or the one inside when `path` is the folder of a run."""
    return path / "adapter" if (path / "adapter").is_dir() else path


def open_adapter(path: Path, base: str | None, dtype: str | None) -> Opened:
    """Load the adapter at `path` on its base, strictly.

    Args:
        base: what to call the base instead of what the adapter's card says.
        dtype: number format; None for the one of the adapter's training.

    Raises:
        SpecError: no such number format; or no base is known, because the adapter comes from elsewhere.
        GraftworkError: as loading a base or an adapter does.
    """
    if dtype is not None and dtype not in DTYPES:
        raise SpecError([Problem("--dtype", dtype, f"one of {', '.join(DTYPES)}", did_you_mean(dtype, DTYPES))])
    folder = adapter_folder(path)
    card = read_card(folder)
    ref = base or (card.base.ref if card else None)
    if ref is None:
        raise SpecError([Problem("--base", None, "the base of this adapter", f"{folder} has no card that names one.")])
    chosen: DtypeName = dtype or _trained_with(card)  # type: ignore[assignment]  # checked above
    bank = AdapterBank(load_base(ref, dtype=chosen))
    return Opened(bank, bank.load(folder), card)


def _recipe(card: Card | None) -> dict[str, Any]:
    """The recipe that an adapter's card says it comes from; empty when it says none."""
    told = card.provenance.get("recipe") if card else None
    return told if isinstance(told, dict) else {}


def _trained_with(card: Card | None) -> str:
    told = _recipe(card).get("dtype")
    return told if isinstance(told, str) and told in DTYPES else "bfloat16"
