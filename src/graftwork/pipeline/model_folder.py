"""The folder of a tuned model: what other tools read as a model, and a card that says where it comes from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from graftwork.adapters.card import FILE, BaseNote, note
from graftwork.base.fingerprint import fingerprint
from graftwork.core.errors import ConflictError, IntegrityError, SpecError
from graftwork.core.files import arriving, read_foreign_json, write_json
from graftwork.core.spec import Spec, parse, plain

if TYPE_CHECKING:
    from graftwork.base.load import Base

MODEL = "model"
JSON_LIMIT_BYTES = 16_000_000


class ModelCard(Spec):
    """What a tuned model's folder says about itself beside the files that other tools read."""

    format: Literal[1] = 1
    """Version of this file's form."""

    kind: Literal["model"] = "model"
    """Tells it from the card of an adapter."""

    base: BaseNote
    """The base that it was tuned from."""

    digest: str = Field(min_length=64, max_length=64)
    """Fingerprint of this folder as a base: weights, config, tokenizer and chat template."""

    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where it comes from: recipe, data, seed and versions, as the trainer recorded them."""


def write_model(folder: Path, tuned: Base, provenance: Mapping[str, Any]) -> ModelCard:
    """Write `tuned`, which still says what base it was tuned from, as a new folder, whole or not at all.

    Raises:
        ConflictError: the folder is there already.
    """
    if folder.exists():
        raise ConflictError(f"{folder} is there already. Choose another name or move it away.")
    with arriving(folder) as work:
        tuned.model.save_pretrained(work)
        tuned.chat.tokenizer.save_pretrained(work)
        if (wishes := tuned.folder / "generation_config.json").is_file():
            shutil.copyfile(wishes, work / wishes.name)
        else:  # what `transformers` writes of its own accord
            (work / wishes.name).unlink(missing_ok=True)
        card = ModelCard(
            base=note(tuned.ref, tuned.fingerprint), digest=fingerprint(work).digest, provenance=dict(provenance)
        )
        write_json(work / FILE, plain(card))
        for path in work.iterdir():
            path.chmod(0o644)
    return card


def model_folder(path: Path) -> Path | None:
    """The tuned model at `path`, or in the run at `path`; None when there is none. Reads no weight.

    Raises:
        IntegrityError: its card is broken.
    """
    folder = path / MODEL if (path / MODEL / FILE).is_file() else path
    if not (folder / FILE).is_file() or not (folder / "config.json").is_file():
        return None
    told = read_foreign_json(folder / FILE, limit_bytes=JSON_LIMIT_BYTES)
    return folder if isinstance(told, dict) and told.get("kind") == "model" else None


def read_model_card(folder: Path) -> ModelCard:
    """The card of the tuned model in `folder`, which must be the one that was written.

    Raises:
        IntegrityError: the card is broken, or the model is another.
    """
    card = model_card(folder)
    if (found := fingerprint(folder).digest) != card.digest:
        raise IntegrityError(f"{folder}: its fingerprint is {found}, its card says {card.digest}. Restore it.")
    return card


def model_card(folder: Path) -> ModelCard:
    """What the card of the tuned model in `folder` says; whether the model is that one is not looked at.

    Raises:
        IntegrityError: the card is broken.
    """
    try:
        return parse(ModelCard, read_foreign_json(folder / FILE, limit_bytes=JSON_LIMIT_BYTES))
    except SpecError as error:
        raise IntegrityError(f"{folder / FILE} is not as it was written:\n{error}") from error
