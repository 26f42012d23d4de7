"""Adapter folders: PEFT's `adapter_config.json` and `adapter_model.safetensors`, and our card beside them.

Reading is strict: every tensor in the file must have a place and every place its tensors, with the right shapes and
finite numbers. Nothing is unpickled, no code named in a file is imported, and no more memory is taken than the base's
own layers and the ranks that were asked for need. A link is followed, as in the caches of other tools.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from graftwork.adapters.adapter import Adapter, Placed, placed
from graftwork.adapters.asked import places_of
from graftwork.adapters.card import FILE as CARD
from graftwork.adapters.card import Card, On, note, other_format, refuse_other_base
from graftwork.adapters.file_form import CONFIG, FORMS, TENSORS, AskedByKey, FileForm, Header
from graftwork.adapters.forms import LIKELIEST
from graftwork.adapters.method import METHODS
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.any_model import Host
from graftwork.base.fingerprint import TensorEntry, safetensors_header
from graftwork.base.quantised import scheme_of
from graftwork.base.tensors import write_tensors
from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError, Problem, SpecError
from graftwork.core.files import read_foreign_json, write_json
from graftwork.core.spec import Spec, parse, plain

PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
JSON_LIMIT_BYTES = 16_000_000
HEADER_LIMIT_BYTES = 16_000_000
"""A header of a hundred thousand tensors has fewer."""

FLOATS = {"F64", "F32", "F16", "BF16"}
"""Number formats that are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """An adapter folder as read.

    Attributes:
        card: None where it has none, as PEFT's own folders.
        notice: what whoever uses it should know: the base is kept in another format than in training.
    """

    adapter: Adapter
    card: Card | None
    notice: str | None = None


def write_adapter(
    folder: Path, adapter: Adapter, base: Host, provenance: Mapping[str, Any], *, on: On | None = None
) -> Card:
    """Write `adapter` as a new folder, whole or not at all, in the form that most other tools can read.

    A method that other tools know only as the plain LoRA it comes to is written as that LoRA.

    Args:
        on: the finished adapter that it was trained on top of.

    Raises:
        ConflictError: the folder is there already.
    """
    if folder.exists():
        raise ConflictError(f"{folder} is there already. Choose another name or move it away.")
    form, written = _form_for(adapter)
    card = Card(
        spec=dict(plain(adapter.spec)) if adapter.spec else None,
        base=note(base.ref, base.fingerprint, scheme_of(base.model)),
        digest=written.digest(),
        on=on,
        provenance=dict(provenance),
    )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in form.pack(written).items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        whole = Path(work) / "adapter"
        write_tensors(whole / TENSORS, tensors, {"format": "pt"})
        write_json(whole / CONFIG, form.config(written, base.facts, base.ref))
        write_json(whole / CARD, plain(card))
        whole.rename(folder)
    return card


def exchangeable(adapter: Adapter) -> Adapter:
    """`adapter` with each method that has one replaced by the plain LoRA it comes to."""
    return Adapter(spec=adapter.spec, placed={key: _plain(here) for key, here in adapter.placed.items()})


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
    for needed in (CONFIG, TENSORS):
        if not (folder / needed).is_file():
            raise NotFoundError(f"{folder} holds no {needed}, so it is no adapter folder.")
    if not (folder / CARD).is_file():
        return None
    try:
        card = parse(Card, read_foreign_json(folder / CARD, limit_bytes=JSON_LIMIT_BYTES))
        if card.spec is not None:
            parse_adapter_spec(card.spec)
        return card
    except SpecError as error:
        raise IntegrityError(f"{folder / CARD} is not as it was written:\n{error}") from error


def read_adapter(folder: Path, base: Host) -> Loaded:
    """Read the adapter in `folder` for `base`, whole or not at all.

    Raises:
        NotFoundError: it is not there.
        SpecError: PEFT's config asks for something that cannot be done as asked.
        IntegrityError: another base, a pickle, or bytes that are not what they should be.
    """
    card = read_card(folder)
    if card:
        refuse_other_base(card, base.ref, base.fingerprint, str(folder))
    asked = parse_adapter_spec(card.spec) if card and card.spec else None
    form, config = _form_of(folder)
    entries = safetensors_header(folder / TENSORS, limit_bytes=HEADER_LIMIT_BYTES)
    header = {name: entry.shape for name, entry in entries.items()}
    found = form.asked(config, base.facts, header, asked)
    if asked is not None and not _as_asked(found, asked, base):
        raise IntegrityError(f"{folder}: {CARD} asks for other places or ranks than {CONFIG} has. Restore it.")
    tensors = _tensors(folder / TENSORS, entries, form.names(found))
    params = form.unpack(found, tensors)
    device = base.device
    on_device = {
        key: {name: _trainable_type(tensor).to(device) for name, tensor in params[key].items()} for key in found
    }
    adapter = Adapter(spec=asked, placed=placed(found, on_device))
    if card and (digest := adapter.digest()) != card.digest:
        raise IntegrityError(f"{folder}: its digest is {digest}, its card says {card.digest}. Restore it.")
    notice = other_format(card, scheme_of(base.model)) if card else None
    return Loaded(adapter=adapter, card=card, notice=notice)


def _form_for(adapter: Adapter) -> tuple[FileForm, Adapter]:
    """The likeliest form that holds `adapter`, and the adapter as that form holds it."""
    for name in LIKELIEST:
        for version in (adapter, exchangeable(adapter)):
            if FORMS[name].holds(version):
                return FORMS[name], version
    raise SpecError([Problem("adapter", None, "an adapter that one form of folder can hold")])


def _form_of(folder: Path) -> tuple[FileForm, Mapping[str, Any]]:
    config = read_foreign_json(folder / CONFIG, limit_bytes=JSON_LIMIT_BYTES)
    if not isinstance(config, dict):
        raise IntegrityError(f"{folder / CONFIG} is no mapping.")
    kind = config.get("peft_type")
    if kind not in list(FORMS):
        hint = "Adapters of other methods are not read."
        raise SpecError([Problem(f"{CONFIG}: peft_type", kind, f"one of {', '.join(map(repr, FORMS))}", hint)])
    return FORMS[kind], config


def _as_asked(found: AskedByKey, asked: Spec, base: Host) -> bool:
    """Whether a folder holds what its card asks for: the same places, and the same specs where they are settled
    before training."""
    meant = places_of(asked, base.facts)
    settled = {key: here for key, here in meant.items() if not (here.method.plain or here.method.evolution)}
    return found.keys() <= meant.keys() and all(
        key in found and (found[key].spec == here.spec or plain(found[key].spec) == plain(here.spec))
        for key, here in settled.items()
    )


def _tensors(path: Path, entries: Mapping[str, TensorEntry], expected: Header) -> dict[str, Tensor]:
    found = {name: entry.shape for name, entry in entries.items()}
    complaints = [f"{name} is missing" for name in expected if name not in found]
    # an empty tensor says nothing: PEFT writes them for layers of which AdaLoRA has kept no direction
    extra = [name for name, shape in found.items() if name not in expected and 0 not in shape]
    complaints += [f"{_shown(name)} belongs to no place that the config names" for name in extra]
    complaints += [
        f"{name} has shape {found[name]}, its place needs {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    complaints += [
        f"{_shown(name)} is {_shown(entry.dtype)}, expected one of {', '.join(sorted(FLOATS))}"
        for name, entry in entries.items()
        if entry.dtype not in FLOATS
    ]
    if complaints:
        more = f" and {len(complaints) - 5} more" if len(complaints) > 5 else ""
        raise IntegrityError(f"{path} does not fit this base: {'; '.join(complaints[:5])}{more}. Nothing was loaded.")
    try:
        tensors: dict[str, Tensor] = load(path.read_bytes())
    except SafetensorError as error:
        raise IntegrityError(f"{path} is broken: {error}. Fetch it again.") from error
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != found:
        raise IntegrityError(f"{path} says two things of its tensors, or was changed meanwhile. Fetch it again.")
    if bad := [n for n, t in tensors.items() if not t.isfinite().all()]:
        raise IntegrityError(f"{path}: {bad[0]} holds values that are not finite numbers. Nothing was loaded.")
    return tensors


def _shown(name: str) -> str:
    """A name from a file, safe to print and not too long."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:200])
    return safe if len(name) <= 200 else f"{safe} ... ({len(name)} characters)"


def _plain(here: Placed) -> Placed:
    if here.method.plain is None:
        return here
    with torch.no_grad():
        spec, params = here.method.plain(here.spec, here.params)
    return replace(here, method=METHODS["lora"], spec=spec, params=params)


def _trainable_type(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
