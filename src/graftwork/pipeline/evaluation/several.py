"""Finished adapters, any number of them at once: each asked the same, on one base, in the same batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork import __version__
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.standing import adapter_folder
from graftwork.base.load import load_base
from graftwork.core.errors import IntegrityError, Interrupted, SpecError
from graftwork.core.files import read_json, write_json
from graftwork.core.spec import plain
from graftwork.data.source_spec import SourceSpec
from graftwork.evaluation.dimension import Given
from graftwork.evaluation.result import read, told
from graftwork.evaluation.spec import EvaluationSpec
from graftwork.pipeline.evaluate import CERTIFICATE, CLOSELY, RESULT
from graftwork.pipeline.evaluation.costs import adapter_cost, model_cost
from graftwork.pipeline.evaluation.finished import (
    Finished,
    base_problems,
    dtype_of,
    finished,
    held_out_problems,
    seen_notes,
)
from graftwork.pipeline.evaluation.look import Scene, files_of, looked_at
from graftwork.pipeline.evaluation.manifests import Closely, certified, trained_on
from graftwork.pipeline.evaluation.records import Found, found
from graftwork.pipeline.evaluation.subjects import AtHand, at_hand
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.prepare import EVALUATION
from graftwork.pipeline.reporting import write_report
from graftwork.pipeline.sides import Side
from graftwork.pipeline.work import prepared_records

if TYPE_CHECKING:
    from graftwork.pipeline.evaluation.efficiency import Cost
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


def evaluated(asked: Asked, *, device: str, watch: Watch) -> Closely:
    """The result with its certificate, which lie in `asked.out` too.

    Raises:
        SpecError: they are not of one base, or held other records out and none are given; all problems at once.
        NotFoundError, IntegrityError: one is not there, or not as it was written.
        Interrupted: asked to stop; the same command goes on.
    """
    of = finished(asked.paths)
    if problems := [*base_problems(of, base=asked.base), *(held_out_problems(of) if asked.data is None else ())]:
        raise SpecError(problems)
    records = _records(asked, of)
    general = asked.spec.general
    beside = found(general, where="--general") if isinstance(general, SourceSpec) else None
    began_s = time.monotonic()
    with RunFolder(asked.out) as folder:
        subjects, costs = _subjects(asked, of, device, watch)
        inputs = {
            "subjects": [[one.name, one.subject.digest] for one in subjects],
            "trainings": [_told(one) for one in of],
            "records": [record.digest for record in records.records],
            "general": [record.digest for record in beside.records] if beside else None,
            "evaluation": dict(plain(asked.spec)),
            "graftwork": __version__,
        }
        if done := folder.still_done("evaluate", inputs):
            watch.say("evaluate: done already")
            return Closely(read(done.summary[CLOSELY]), _read_certificate(folder.path))
        folder.forget("evaluate")  # the folder is known as an evaluation's own, should this be interrupted
        trainings = {one.name: one.training for one in of}
        scene = Scene(
            folder=folder.path,
            spec=asked.spec,
            given=Given(
                held_out=records.records,
                train=trained_on(trainings.values()),
                seed=0,
                max_new_tokens=asked.spec.max_new_tokens,
                general=beside.records if beside else None,
            ),
            watch=watch,
            stop_if_asked=lambda: _stop_if_asked(watch),
            costs=costs,
            notes=[*records.notes, *(beside.notes if beside else ()), *seen_notes(records.records, of)],
        )
        closely = certified(looked_at(scene, subjects), subjects, trainings, asked.spec)
        result = {CLOSELY: told(closely.result)}
        write_json(folder.path / RESULT, result)
        write_json(folder.path / CERTIFICATE, closely.certificate)
        folder.record("evaluate", inputs, [RESULT, CERTIFICATE, *files_of(asked.spec)], result, began_s)
        write_report(folder.path)
    return closely


def _told(one: Finished) -> dict[str, Any]:
    """What the certificate says of its training, and follows from."""
    training = one.training
    return {
        "rows": training.rows,
        "seed": training.seed,
        "about": dict(training.about),
        "records": list(training.records),
        "is_whole": training.is_whole,
    }


def _read_certificate(folder: Path) -> Mapping[str, Any]:
    read_back: Any = read_json(folder / CERTIFICATE)
    known: Mapping[str, Any] = read_back
    return known


def _records(asked: Asked, of: Sequence[Finished]) -> Found:
    """What is asked; before records without a system message stands the one that the first was trained with."""
    if asked.data is None:
        return Found(list(prepared_records(asked.paths[0] / EVALUATION)))
    data = of[0].recipe.get("data")
    system = data.get("system") if isinstance(data, dict) else None
    return found(asked.data, where="--data", system=system if isinstance(system, str) else None)


def _subjects(asked: Asked, of: Sequence[Finished], device: str, watch: Watch) -> tuple[list[AtHand], dict[str, Cost]]:
    card = next((one.card for one in of if one.card is not None), None)
    ref = asked.base or (card.base.ref if card else "")
    dtype = dtype_of(of)
    quantised: Any = card.base.quantised if card else "off"
    watch.say(f"loading {ref} ({dtype}{'' if quantised == 'off' else f', {quantised}'})")
    base = load_base(ref, dtype=dtype, device=device, quantised=quantised, say=watch.say)
    if card is not None and (parts := card.base.fingerprint().differences(base.fingerprint)):
        raise IntegrityError(f"{ref} is another base than the one on the cards: they differ in {', '.join(parts)}.")
    bank = AdapterBank(base)
    subjects, costs = [at_hand(Side(bank=bank), name="base", kind="base", about=ref)], {}
    for one in of:
        if one.model is not None:
            own = AdapterBank(load_base(str(one.model), dtype=dtype, device=device))
            subjects.append(at_hand(Side(bank=own), name=one.name, kind="full", about=str(one.path)))
            costs[one.name] = model_cost(one.model)
            continue
        row = bank.load_standing(one.path)
        subjects.append(at_hand(Side(bank=bank, row=row), name=one.name, kind="adapter", about=str(one.path)))
        costs[one.name] = adapter_cost(bank, adapter_folder(one.path), num_trained=bank[row[-1]].num_params)
    return subjects, costs


def _stop_if_asked(watch: Watch) -> None:
    if watch.should_stop():
        raise Interrupted("stopped; every reply so far is kept. The same command goes on.")
