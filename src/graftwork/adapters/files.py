"""Adapter folders: PEFT's `adapter_config.json` and `adapter_model.safetensors`, and our card beside them.

Reading is strict: every tensor in the file must have a place and every place its tensors, with the right shapes and
finite
numbers. Nothing is unpickled and no code named in a file is imported.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from graftwork.adapters import peft_lora
from graftwork.adapters.adapter import Adapter, Placed, places_of
from graftwork.adapters.card import FILE as CARD
from graftwork.adapters.card import Card, note, refuse_other_base
from graftwork.adapters.method import METHODS
from graftwork.adapters.methods.lora import LoraSpec
from graftwork.base.fingerprint import safetensors_header
from graftwork.base.load import DTYPES, Base
from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError, SpecError
from graftwork.core.files import read_json, write_bytes, write_json
from graftwork.core.spec import parse, plain

TENSORS = "adapter_model.safetensors"
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """An adapter folder as read: the adapter, and its card if it has one (PEFT's own folders have none)."""

    adapter: Adapter
    card: Card | None


def write_adapter(folder: Path, adapter: Adapter, base: Base, provenance: Mapping[str, Any]) -> Card:
    """Write `adapter` as a new folder, whole or not at all.

    Raises:
        ConflictError: the folder is there already.
    """
    if folder.exists():
        raise ConflictError(f"{folder} is there already. Choose another name or move it away.")
    card = Card(
        spec=dict(plain(adapter.spec)) if adapter.spec else None,
        base=note(base.ref, base.fingerprint),
        digest=adapter.digest(),
        provenance=dict(provenance),
    )
    tensors = {
        peft_lora.tensor_name(name, param): tensor.detach().cpu().contiguous()
        for name, here in adapter.placed.items()
        for param, tensor in here.params.items()
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        whole = Path(work) / "adapter"
        write_bytes(whole / TENSORS, save(tensors, metadata={"format": "pt"}))
        write_json(whole / peft_lora.FILE, peft_lora.config_of(adapter, base.facts, base.ref))
        write_json(whole / CARD, plain(card))
        whole.rename(folder)
    return card


def read_card(folder: Path) -> Card | None:
    """The card of an adapter folder, None when it has none. Reads no tensor.

    Raises:
        NotFoundError: there is no such folder, or it holds no adapter.
        IntegrityError: it holds a pickle, or the card is broken.
    """
    if not folder.is_dir():
        raise NotFoundError(f"no adapter folder at {folder}.")
    if pickles := sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PICKLES):
        raise IntegrityError(
            f"{folder} holds {', '.join(pickles)}: pickled files can run code and are never read. "
            "Save the adapter as safetensors and remove them."
        )
    for needed in (peft_lora.FILE, TENSORS):
        if not (folder / needed).is_file():
            raise NotFoundError(f"{folder} holds no {needed}, so it is no adapter folder.")
    if not (folder / CARD).is_file():
        return None
    try:
        card = parse(Card, read_json(folder / CARD))
        if card.spec is not None:
            parse(LoraSpec, card.spec)
        return card
    except SpecError as error:
        raise IntegrityError(f"{folder / CARD} is not as it was written:\n{error}") from error


def read_adapter(folder: Path, base: Base) -> Loaded:
    """Read the adapter in `folder` for `base`, whole or not at all.

    Raises:
        NotFoundError: it is not there.
        SpecError: PEFT's config asks for something that cannot be done as asked.
        IntegrityError: another base, a pickle, or bytes that are not what they should be.
    """
    card = read_card(folder)
    if card:
        refuse_other_base(card, base.ref, base.fingerprint, str(folder))
    config = read_json(folder / peft_lora.FILE)
    if not isinstance(config, dict):
        raise IntegrityError(f"{folder / peft_lora.FILE} is no mapping.")
    asked = parse(LoraSpec, card.spec) if card and card.spec else None
    specs = peft_lora.specs_from(config, base.facts, asked.init if asked else "kaiming_uniform")
    if asked and {name: spec for name, (_, _, spec) in places_of(asked, base.facts).items()} != specs:
        raise IntegrityError(f"{folder}: {CARD} asks for other places or ranks than {peft_lora.FILE} has. Restore it.")
    tensors = _tensors(folder / TENSORS, specs, base)
    adapter = Adapter(spec=asked, placed=dict(_placed(specs, tensors, base)))
    if card and (found := adapter.digest()) != card.digest:
        raise IntegrityError(f"{folder}: its digest is {found}, its card says {card.digest}. Restore it.")
    return Loaded(adapter=adapter, card=card)


def _tensors(path: Path, specs: Mapping[str, LoraSpec], base: Base) -> dict[str, Tensor]:
    header = safetensors_header(path)
    expected = dict(_expected_shapes(specs, base))
    found = {name: entry.shape for name, entry in header.items()}
    complaints = [f"{name} is missing" for name in expected if name not in found]
    complaints += [f"{name} belongs to no place that the config names" for name in found if name not in expected]
    complaints += [
        f"{name} has shape {found[name]}, its place needs {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if complaints:
        more = f" and {len(complaints) - 5} more" if len(complaints) > 5 else ""
        raise IntegrityError(f"{path} does not fit this base: {'; '.join(complaints[:5])}{more}. Nothing was loaded.")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} is broken: {error}. Fetch it again.") from error
    if odd := [n for n, t in tensors.items() if t.dtype not in DTYPES.values()]:
        raise IntegrityError(f"{path}: {odd[0]} is {tensors[odd[0]].dtype}, expected {', '.join(DTYPES)}.")
    if bad := [n for n, t in tensors.items() if not t.isfinite().all()]:
        raise IntegrityError(f"{path}: {bad[0]} holds values that are not finite numbers. Nothing was loaded.")
    return tensors


def _expected_shapes(specs: Mapping[str, LoraSpec], base: Base) -> Iterator[tuple[str, tuple[int, ...]]]:
    places = base.facts.by_name
    for name, spec in specs.items():
        for param, shape in METHODS["lora"].shapes(spec, places[name]).items():
            yield peft_lora.tensor_name(name, param), shape


def _placed(specs: Mapping[str, LoraSpec], tensors: Mapping[str, Tensor], base: Base) -> Iterator[tuple[str, Placed]]:
    places = base.facts.by_name
    for name, spec in specs.items():
        params = {
            param: _trainable_type(tensors[peft_lora.tensor_name(name, param)]).to(base.device)
            for param in peft_lora.TENSOR
        }
        yield name, Placed(place=places[name], method=METHODS["lora"], spec=spec, params=params)


def _trainable_type(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
