"""Finished adapters, any number of them at once: each asked the same, on one base, in the same batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork import __version__
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.standing import adapter_folder, standing
from graftwork.base.load import DTYPES, DtypeName, load_base
from graftwork.core.digests import digest_of_file
from graftwork.core.errors import IntegrityError, Interrupted, Problem, SpecError
from graftwork.core.files import write_json
from graftwork.core.spec import plain
from graftwork.data.source_spec import SourceSpec
from graftwork.evaluation.dimension import Given
from graftwork.evaluation.result import read, told
from graftwork.evaluation.spec import EvaluationSpec
from graftwork.pipeline.evaluate import CLOSELY, RESULT
from graftwork.pipeline.evaluation.efficiency import Cost
from graftwork.pipeline.evaluation.look import Scene, files_of, looked_at
from graftwork.pipeline.evaluation.records import Found, found
from graftwork.pipeline.evaluation.subjects import AtHand, at_hand
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.model_folder import MODEL, ModelCard, model_folder, read_model_card
from graftwork.pipeline.prepare import EVALUATION, TRAIN
from graftwork.pipeline.reporting import write_report
from graftwork.pipeline.sides import Side
from graftwork.pipeline.stage_spec import with_last
from graftwork.pipeline.work import prepared_records

if TYPE_CHECKING:
    from graftwork.adapters.card import Card
    from graftwork.data.records import Record
    from graftwork.evaluation.result import EvaluationResult
    from graftwork.pipeline.watch import Watch


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is to be evaluated, and on what.

    Attributes:
        paths: adapters, tuned models, or runs that made them.
        data: records to ask; None for those that the runs held out, if they are the same.
        base: another name for the base; None for the one on the cards.
        out: folder of the result.
    """

    paths: Sequence[Path]
    spec: EvaluationSpec
    out: Path
    data: SourceSpec | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class _Finished:
    """One of them: where it lies and what its card says."""

    path: Path
    name: str
    card: Card | ModelCard | None
    model: Path | None

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What it was trained by, as far as its card says."""
        recipe = self.card.provenance.get("recipe") if self.card else None
        return with_last(recipe) if isinstance(recipe, dict) else {}


def evaluated(asked: Asked, *, device: str, watch: Watch) -> EvaluationResult:
    """The result, which lies in `asked.out` too.

    Raises:
        SpecError: they are not of one base, or held other records out and none are given; all problems at once.
        NotFoundError, IntegrityError: one is not there, or not as it was written.
        Interrupted: asked to stop; the same command goes on.
    """
    finished = [_finished(path, name) for path, name in zip(asked.paths, _names(asked.paths), strict=True)]
    if problems := [*_base_problems(asked, finished), *_data_problems(asked, finished)]:
        raise SpecError(problems)
    records = _records(asked, finished)
    general = asked.spec.general
    beside = found(general, where="--general") if isinstance(general, SourceSpec) else None
    began_s = time.monotonic()
    with RunFolder(asked.out) as folder:
        subjects, costs = _subjects(asked, finished, device, watch)
        inputs = {
            "subjects": [[one.name, one.subject.digest] for one in subjects],
            "records": [record.digest for record in records.records],
            "general": [record.digest for record in beside.records] if beside else None,
            "evaluation": dict(plain(asked.spec)),
            "graftwork": __version__,
        }
        if done := folder.still_done("evaluate", inputs):
            watch.say("evaluate: done already")
            return read(done.summary[CLOSELY])
        scene = Scene(
            folder=folder.path,
            spec=asked.spec,
            given=Given(
                held_out=records.records,
                train=_Trained(tuple(one.path for one in finished)),
                seed=0,
                max_new_tokens=asked.spec.max_new_tokens,
                general=beside.records if beside else None,
            ),
            watch=watch,
            stop_if_asked=lambda: _stop_if_asked(watch),
            costs=costs,
            notes=[*records.notes, *(beside.notes if beside else ()), *_seen_notes(records.records, finished)],
        )
        result = {CLOSELY: told(looked_at(scene, subjects).result)}
        write_json(folder.path / RESULT, result)
        folder.record("evaluate", inputs, [RESULT, *files_of(asked.spec)], result, began_s)
        write_report(folder.path)
    return read(result[CLOSELY])


def _finished(path: Path, name: str) -> _Finished:
    if model := model_folder(path):
        return _Finished(path, name, read_model_card(model), model)
    return _Finished(path, name, standing(path)[-1].card, None)


def _names(paths: Sequence[Path]) -> list[str]:
    """Names to tell them apart: as short as they can be, and none that other subjects have."""
    own = [path.resolve() for path in paths]
    own = [path.parent if path.name in ("adapter", MODEL) else path for path in own]
    for parts in range(1, 5):
        names = ["/".join(path.parts[-parts:]) for path in own]
        if len(set(names)) == len(names) and not {"base"} & set(names):
            return names
    return [f"{number}: {path}" for number, path in enumerate(paths, 1)]


def _base_problems(asked: Asked, finished: Sequence[_Finished]) -> Iterator[Problem]:
    for one in finished:
        if one.card is None and asked.base is None:
            yield Problem("--base", None, "the base of these adapters", f"{one.path} has no card that names one.")
    cards = [(one, one.card.base) for one in finished if one.card is not None]
    for one, base in cards[1:]:
        first = cards[0][1]
        if parts := first.fingerprint().differences(base.fingerprint()):
            hint = f"It belongs to {base.ref!r}; they differ in {', '.join(parts)}."
            yield Problem(str(one.path), base.ref, f"an adapter of {first.ref!r}, as the first", hint)
        elif base.quantised != first.quantised and one.model is None:
            yield Problem(str(one.path), base.quantised, f"a base kept as that of the first ({first.quantised})")


def _data_problems(asked: Asked, finished: Sequence[_Finished]) -> Iterator[Problem]:
    if asked.data is not None:
        return
    files = [(one.path, one.path / EVALUATION) for one in finished]
    hint = "Give records to ask with --data."
    if missing := [path for path, file in files if not file.is_file()]:
        yield Problem(str(missing[0]), None, "the folder of a run, which holds records that were set aside", hint)
    elif len({digest_of_file(file) for _, file in files}) > 1:
        yield Problem("--data", None, "records to ask: these runs set different ones aside", hint)


def _records(asked: Asked, finished: Sequence[_Finished]) -> Found:
    """What is asked; before records without a system message stands the one that the first was trained with."""
    if asked.data is None:
        return Found(list(prepared_records(asked.paths[0] / EVALUATION)))
    data = finished[0].recipe.get("data")
    system = data.get("system") if isinstance(data, dict) else None
    return found(asked.data, where="--data", system=system if isinstance(system, str) else None)


@dataclass(frozen=True, slots=True)
class _Trained:
    """What they were trained on, as far as that lies in the folders given."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            if (path / TRAIN).is_file():
                yield from prepared_records(path / TRAIN)


def _seen_notes(records: Sequence[Record], finished: Sequence[_Finished]) -> Iterator[str]:
    """Whether any was trained on what is asked; said where that cannot be known."""
    asked = {record.digest for record in records}
    for one in finished:
        if not (one.path / TRAIN).is_file():
            yield f"{one.name}: what it was trained on is not here, so nobody knows whether it has seen these records."
        elif num := sum(record.digest in asked for record in prepared_records(one.path / TRAIN)):
            yield f"{one.name} was trained on {num} of these {len(asked)} records; its numbers are too good."


def _subjects(
    asked: Asked, finished: Sequence[_Finished], device: str, watch: Watch
) -> tuple[list[AtHand], dict[str, Cost]]:
    card = next((one.card for one in finished if one.card is not None), None)
    ref = asked.base or (card.base.ref if card else "")
    dtype = _dtype(finished)
    quantised: Any = card.base.quantised if card else "off"
    watch.say(f"loading {ref} ({dtype}{'' if quantised == 'off' else f', {quantised}'})")
    base = load_base(ref, dtype=dtype, device=device, quantised=quantised, say=watch.say)
    if card is not None and (parts := card.base.fingerprint().differences(base.fingerprint)):
        raise IntegrityError(f"{ref} is another base than the one on the cards: they differ in {', '.join(parts)}.")
    bank = AdapterBank(base)
    subjects, costs = [at_hand(Side(bank=bank), name="base", kind="base", about=ref)], {}
    for one in finished:
        if one.model is not None:
            own = AdapterBank(load_base(str(one.model), dtype=dtype, device=device))
            subjects.append(at_hand(Side(bank=own), name=one.name, kind="full", about=str(one.path)))
            costs[one.name] = Cost(num_bytes=_num_bytes(one.model))
            continue
        row = bank.load_standing(one.path)
        subjects.append(at_hand(Side(bank=bank, row=row), name=one.name, kind="adapter", about=str(one.path)))
        costs[one.name] = Cost(
            loads=partial(_load_once, bank, one.path),
            num_bytes=_num_bytes(adapter_folder(one.path)),
            num_trained=bank[row[-1]].num_params,
        )
    return subjects, costs


def _dtype(finished: Sequence[_Finished]) -> DtypeName:
    """As most of them were trained, the first of them among equals."""
    trained = [str(one.recipe.get("dtype", "bfloat16")) for one in finished]
    chosen: Any = max(trained, key=trained.count)
    known: DtypeName = chosen if chosen in DTYPES else "bfloat16"
    return known


def _load_once(bank: AdapterBank, path: Path) -> None:
    bank.remove(bank.load(adapter_folder(path)))


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _stop_if_asked(watch: Watch) -> None:
    if watch.should_stop():
        raise Interrupted("stopped; every reply so far is kept. The same command goes on.")
