"""An adapter's folder, opened on its base, with all that it stands on; or a tuned model's, beside its base."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from graftwork.adapters.adapter import Adapter
from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.card import Card
from graftwork.adapters.standing import standing
from graftwork.base.facts import Quantised
from graftwork.base.load import DTYPES, DtypeName, load_base
from graftwork.core.errors import IntegrityError, Problem, SpecError, did_you_mean
from graftwork.pipeline.model_folder import ModelCard, model_folder, read_model_card
from graftwork.pipeline.sides import Side, Sides
from graftwork.pipeline.stage_spec import with_last


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
    def sides(self) -> Sides:
        """Its base beside it."""
        return Sides(base=Side(bank=self.bank), trained=Side(bank=self.bank, row=self.row))

    @property
    def system(self) -> str | None:
        """The system message that its training put before records without one."""
        return _system(self.card)


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that was tuned whole, beside the base that it was tuned from."""

    sides: Sides
    card: ModelCard

    @property
    def system(self) -> str | None:
        """The system message that its training put before records without one."""
        return _system(self.card)


def open_trained(path: Path, base: str | None, dtype: str | None) -> Opened | OpenedModel:
    """What was trained at `path`, beside its base: an adapter, or a model that was tuned whole.

    Raises:
        IntegrityError: the model or its base is not the one on its card.
        GraftworkError: as `open_adapter` does.
    """
    folder = model_folder(path)
    if folder is None:
        return open_adapter(path, base, dtype)
    card = read_model_card(folder)
    chosen: DtypeName = _known_dtype(dtype) or _trained_with(card)  # type: ignore[assignment]  # checked
    before = load_base(base or card.base.ref, dtype=chosen)
    if parts := card.base.fingerprint().differences(before.fingerprint):
        raise IntegrityError(f"{folder} was tuned from another base: they differ in {', '.join(parts)}. Give it.")
    tuned = load_base(str(folder), dtype=chosen)
    return OpenedModel(
        Sides(base=Side(bank=AdapterBank(before)), trained=Side(bank=AdapterBank(tuned))),
        card,
    )


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
    dtype = _known_dtype(dtype)
    if folder := model_folder(path):
        hint = f"{folder} is a whole model, ready for other tools as it is; as a recipe's `base` it is adapted further."
        raise SpecError([Problem("adapter", str(path), "an adapter's folder, or the folder of a run", hint)])
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


def _known_dtype(dtype: str | None) -> str | None:
    if dtype is not None and dtype not in DTYPES:
        raise SpecError([Problem("--dtype", dtype, f"one of {', '.join(DTYPES)}", did_you_mean(dtype, DTYPES))])
    return dtype


def _system(card: Card | ModelCard | None) -> str | None:
    data = with_last(_recipe(card)).get("data")
    told = data.get("system") if isinstance(data, dict) else None
    return told if isinstance(told, str) else None


def _recipe(card: Card | ModelCard | None) -> dict[str, Any]:
    """The recipe that a card says it comes from; empty when it says none."""
    told = card.provenance.get("recipe") if card else None
    return told if isinstance(told, dict) else {}


def _trained_with(card: Card | ModelCard | None) -> str:
    told = _recipe(card).get("dtype")
    return told if isinstance(told, str) and told in DTYPES else "bfloat16"
