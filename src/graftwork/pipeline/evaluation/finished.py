"""Finished adapters and tuned models that are to be evaluated together: what they are, and why they cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.standing import standing
from graftwork.base.load import DTYPES, DtypeName
from graftwork.core.digests import digest
from graftwork.core.errors import Problem
from graftwork.pipeline.evaluation.trainings import Training, training_of
from graftwork.pipeline.model_folder import MODEL, model_folder, read_model_card
from graftwork.pipeline.prepare import EVALUATION
from graftwork.pipeline.stage_spec import with_last
from graftwork.pipeline.work import prepared_records

if TYPE_CHECKING:
    from graftwork.adapters.card import Card
    from graftwork.data.records import Record
    from graftwork.pipeline.model_folder import ModelCard


@dataclass(frozen=True, slots=True)
class Finished:
    """One of them: where it lies, what its card says, and how it was trained."""

    path: Path
    name: str
    card: Card | ModelCard | None
    model: Path | None
    training: Training

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What it was trained by, as far as its card says."""
        recipe = self.card.provenance.get("recipe") if self.card else None
        return with_last(recipe) if isinstance(recipe, dict) else {}


def finished(paths: Sequence[Path]) -> list[Finished]:
    """What lies at `paths`, each under a name of its own.

    Raises:
        NotFoundError, IntegrityError: one is not there, or not as it was written.
    """
    return [_finished(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def base_problems(of: Sequence[Finished], *, base: str | None) -> Iterator[Problem]:
    """Why they are not of one base; `base` is the name that was given for it."""
    for one in of:
        if one.card is None and base is None:
            yield Problem("--base", None, "the base of these adapters", f"{one.path} has no card that names one.")
    cards = [(one, one.card.base) for one in of if one.card is not None]
    for one, own in cards[1:]:
        first = cards[0][1]
        if parts := first.fingerprint().differences(own.fingerprint()):
            hint = f"It belongs to {own.ref!r}; they differ in {', '.join(parts)}."
            yield Problem(str(one.path), own.ref, f"an adapter of {first.ref!r}, as the first", hint)
        elif own.quantised != first.quantised and one.model is None:
            yield Problem(str(one.path), own.quantised, f"a base kept as that of the first ({first.quantised})")


def held_out_problems(of: Sequence[Finished]) -> Iterator[Problem]:
    """Why there are no records that all of them set aside."""
    files = [(one.path, one.path / EVALUATION) for one in of]
    hint = "Give records to ask with --data."
    if missing := [path for path, file in files if not file.is_file()]:
        yield Problem(str(missing[0]), None, "the folder of a run, which holds records that were set aside", hint)
    elif len({_content(file) for _, file in files}) > 1:
        yield Problem("--data", None, "records to ask: these runs set different ones aside", hint)


def seen_notes(records: Sequence[Record], of: Sequence[Finished]) -> Iterator[str]:
    """Whether any was trained on what is asked; said where that cannot be known."""
    asked = {record.digest for record in records}
    for one in of:
        if not one.training.is_whole:
            yield f"{one.name}: what it was trained on is not here, so nobody knows whether it has seen these records."
        elif num := sum(
            record.digest in asked for path in one.training.records.values() for record in prepared_records(path)
        ):
            yield f"{one.name} was trained on {num} of these {len(asked)} records; its numbers are too good."


def dtype_of(of: Sequence[Finished]) -> DtypeName:
    """As most of them were trained, the first of them among equals."""
    trained = [str(one.recipe.get("dtype", "bfloat16")) for one in of]
    chosen: Any = max(trained, key=trained.count)
    known: DtypeName = chosen if chosen in DTYPES else "bfloat16"
    return known


def _finished(path: Path, name: str) -> Finished:
    model = model_folder(path)
    card = read_model_card(model) if model else standing(path)[-1].card
    return Finished(path, name, card, model, training_of(path))


def _names(paths: Sequence[Path]) -> list[str]:
    """Names to tell them apart: as short as they can be, and none that other subjects have."""
    own = [path.resolve() for path in paths]
    own = [path.parent if path.name in ("adapter", MODEL) else path for path in own]
    for parts in range(1, 5):
        names = ["/".join(path.parts[-parts:]) for path in own]
        if len(set(names)) == len(names) and not {"base"} & set(names):
            return names
    return [f"{number}: {path}" for number, path in enumerate(paths, 1)]


def _content(file: Path) -> str:
    """Of the records in it, wherever they came from."""
    return digest([record.digest for record in prepared_records(file)])
