"""What a trained subject was trained on and in which order: by the record of its run, else by its card, else not known.

Where the run's folder is there, its record is believed, and a card counts only if it is the one that the run left. All
that a subject went through counts: the adapters that it stands on, its earlier stages, and its own training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.card import FILE
from graftwork.adapters.files import read_card
from graftwork.adapters.standing import standing
from graftwork.core.digests import digest, digest_of_file
from graftwork.core.errors import IntegrityError, SpecError
from graftwork.core.spec import parse, plain
from graftwork.data.spec import DataSpec
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.model_folder import MODEL, model_card, model_folder
from graftwork.pipeline.prepare import TRAIN
from graftwork.pipeline.provenance import seen_rows
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.stages import folder_name
from graftwork.pipeline.train import ADAPTER

if TYPE_CHECKING:
    from graftwork.adapters.card import Card
    from graftwork.pipeline.folder import Done
    from graftwork.pipeline.model_folder import ModelCard

INDEX = "data/train.index.npy"
LONGEST = 60
"""Characters of a setting that are told; of a longer one its beginning and its digest."""
Fact = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How a subject was trained, as far as anybody knows.

    Attributes:
        rows: names the rows that it was trained on; empty where nobody knows.
        seed: what their order was drawn from; None where nobody knows.
        base: fingerprint of the base on its card; empty without one.
        about: what its recipe says of its data, where that is not usual, and of its length.
        records: files of training records that are here, by their digests.
        is_whole: whether they are all that it was trained on.
    """

    rows: str = ""
    seed: int | None = None
    base: str = ""
    about: Mapping[str, Fact] = field(default_factory=dict)
    records: Mapping[str, Path] = field(default_factory=dict)
    is_whole: bool = False


def training_of(path: Path) -> Training:
    """Of the adapter or tuned model at `path`, or in the run at `path`.

    Raises:
        IntegrityError: a card or records are not those that the run left.
        NotFoundError: what it stands on is not there.
    """
    if model := model_folder(path):
        return _whole([_own(model, model_card(model))])
    return _whole([one for lower in standing(path) for one in _each_stage(lower.folder)])


def unseen(trainings: Mapping[str, Training]) -> list[str]:
    """The subjects whose training records are not here, nor with another that was trained on the same rows."""
    there = {one.rows for one in trainings.values() if one.is_whole and one.rows}
    return [name for name, one in trainings.items() if not one.is_whole and one.rows not in there]


def _whole(steps: Sequence[Training]) -> Training:
    """What several trainings one after another come to."""
    *before, last = steps
    if not before:
        return last
    is_known = all(one.rows and one.seed is not None for one in before) and last.rows
    return Training(
        rows=digest([*([one.rows, one.seed] for one in before), last.rows]) if is_known else "",
        seed=last.seed,
        base=last.base,
        about={**last.about, "trainings": len(steps)},
        records={name: path for one in steps for name, path in one.records.items()},
        is_whole=all(one.is_whole for one in steps),
    )


def _each_stage(folder: Path) -> Iterator[Training]:
    card = read_card(folder)
    *stages, _ = card.provenance.get("stages") or [{}] if card else [{}]
    for number, told in enumerate(stages, 1):
        own = folder.parent / folder_name(number, str(told["name"])) / ADAPTER
        is_there = (own / FILE).is_file()
        yield _own(own, read_card(own)) if is_there else Training(rows=_rows(told), seed=told.get("seed"))
    yield _own(folder, card)


def _own(folder: Path, card: Card | ModelCard | None) -> Training:
    """Of the last training of what lies in `folder`."""
    done = RunFolder(folder.parent).steps() if folder.name in (ADAPTER, MODEL) else {}
    if card is None:
        return Training()
    spec, told = _spec(card.provenance), card.provenance
    seed = told.get("seed")
    carded = Training(
        rows=_rows(told),
        seed=seed if isinstance(seed, int) else None,
        base=card.base.fingerprint().digest,
        about=_about(spec, told) if spec else {},
    )
    if not {"prepare", "train"} <= done.keys():
        return carded
    return _recorded(folder, carded, spec, done)


def _recorded(folder: Path, carded: Training, spec: RunSpec | None, done: Mapping[str, Done]) -> Training:
    run, prepared = folder.parent, done["prepare"]
    if done["train"].outputs.get(f"{folder.name}/{FILE}") != digest_of_file(folder / FILE):
        hint = "Restore it; one that was put there from elsewhere belongs outside of the run."
        raise IntegrityError(f"{folder / FILE} is not the card that its run left. {hint}")
    records, rows = {}, carded.rows
    if (file := run / TRAIN).is_file() and TRAIN in prepared.outputs:
        records[_as_left(file, prepared.outputs[TRAIN])] = file
    if spec is not None and (run / INDEX).is_file():
        _as_left(run / INDEX, prepared.outputs[INDEX])
        rows = seen_rows(run, prepared, [source.weight for source in spec.data.sources])
    about = {**carded.about, "records": prepared.summary["train"]["num_records"]}
    return Training(rows=rows, seed=carded.seed, base=carded.base, about=about, records=records, is_whole=bool(records))


def _as_left(path: Path, expected: str) -> str:
    if digest_of_file(path) != expected:
        raise IntegrityError(f"{path} is not as the run left it. Restore it, or run again.")
    return expected


def _rows(told: Mapping[str, Any]) -> str:
    data = told.get("data")
    return str(data.get("rows", "")) if isinstance(data, dict) else ""


def _spec(provenance: Mapping[str, Any]) -> RunSpec | None:
    """The recipe on the card; None where there is none that this version reads."""
    try:
        return parse(RunSpec, provenance.get("recipe"))
    except SpecError:
        return None


def _about(spec: RunSpec, told: Mapping[str, Any]) -> dict[str, Fact]:
    """Settings of the data that are not usual, and how long the training was."""
    usual = dict(_leaves(plain(parse(DataSpec, {"train": "."}))))
    asked = {key: value for key, value in _leaves(plain(spec.data)) if key != "train" and usual.get(key) != value}
    sources = ", ".join(f"{Path(one.path).name} x {one.weight:g}" for one in spec.data.sources)
    training = spec.training
    micro_batches = 1 if training.accumulation == "auto" else training.accumulation
    return {
        "sources": _short(sources),
        **asked,
        "steps": told.get("num_steps"),
        "records_a_step": training.batch_size * micro_batches,
    }


def _leaves(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, Fact]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*way, str(key)))
    elif way[0] != "train":
        yield ".".join(way), _short(value) if isinstance(value, str) else value if _is_fact(value) else str(value)


def _is_fact(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({digest(text)[:8]})"
