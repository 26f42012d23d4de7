"""The dimensions of a run's evaluation: base, what the adapter stands on, the adapter, and full tuning beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.core.digests import digest_of_file
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.read import files_of as files_of_source
from graftwork.evaluation.certificate.manifest import told as told_manifest
from graftwork.evaluation.certificate.overlap import overlapping
from graftwork.evaluation.dimension import Given
from graftwork.pipeline.evaluation.baseline import FOLDER as BASELINE
from graftwork.pipeline.evaluation.efficiency import Cost
from graftwork.pipeline.evaluation.look import Scene, looked_at
from graftwork.pipeline.evaluation.manifests import certified, manifests
from graftwork.pipeline.evaluation.records import Prepared, found
from graftwork.pipeline.evaluation.subjects import AtHand, at_hand
from graftwork.pipeline.model_folder import MODEL, read_model_card
from graftwork.pipeline.prepare import EVALUATION, TRAIN
from graftwork.pipeline.sides import Side, Sides
from graftwork.pipeline.train import ADAPTER
from graftwork.pipeline.work import Work, prepared_records

if TYPE_CHECKING:
    from graftwork.evaluation.result import EvaluationResult
    from graftwork.pipeline.folder import Done


@dataclass(frozen=True, slots=True)
class Closely:
    """What came of the dimensions: the result, and its certificate or the reasons why there is none."""

    result: EvaluationResult
    certificate: Mapping[str, Any]


def closely(work: Work, sides: Sides, prepared: Done, trained: Done, baseline: Done | None) -> Closely:
    """All dimensions of the recipe, of all subjects of the run.

    Raises:
        SpecError: what a dimension was asked for cannot be had.
        Interrupted: asked to stop; every reply so far is kept.
    """
    spec = work.spec
    general = spec.evaluation.general
    told = found(general, where="evaluation.general") if isinstance(general, SourceSpec) else None
    given = Given(
        held_out=list(prepared_records(work.folder.path / EVALUATION)),
        train=Prepared(work.folder.path / TRAIN),
        seed=spec.training.seed,
        max_new_tokens=spec.evaluation.max_new_tokens,
        general=told.records if told else None,
    )
    scene = Scene(
        folder=work.folder.path,
        spec=spec.evaluation,
        given=given,
        watch=work.watch,
        stop_if_asked=lambda: work.stop_if_asked("trained, evaluation begun"),
        costs=_costs(work, sides, trained, baseline),
        notes=[f"General records: {note}" for note in told.notes] if told else [],
    )
    looked = looked_at(scene, _subjects(work, sides, baseline))
    told_manifests = manifests(work, prepared, looked, baseline)
    result = replace(looked.result, manifest={one.subject: told_manifest(one) for one in told_manifests})
    overlaps = {one.dimension.name: overlapping(given.train, one.items) for one in looked.scored}
    return Closely(result, certified(result, told_manifests, overlaps, claimed=tuple(spec.evaluation.margins)))


def told_general(work: Work) -> dict[str, Any]:
    """What the inputs of the step say of the recipe's own general records; nothing where it has none."""
    general = work.spec.evaluation.general
    if not isinstance(general, SourceSpec) or general.is_on_hub:
        return {}
    return {"general": [digest_of_file(path) for path in files_of_source(general)]}


def _subjects(work: Work, sides: Sides, baseline: Done | None) -> list[AtHand]:
    told = [at_hand(sides.base, name="base", kind="base", about=work.spec.base)]
    if sides.below is not None:
        told.append(at_hand(sides.below, name="below", kind="below", about=str(work.spec.on)))
    if work.spec.is_full:
        told.append(at_hand(sides.trained, name="full", kind="full", about="the base tuned whole"))
    else:
        told.append(at_hand(sides.trained, name="adapter", kind="adapter", about=work.spec.name))
    if baseline is not None:
        rate = baseline.summary["rate"]
        about = f"the base tuned whole on the same records, at the rate {rate:g}"
        told.append(at_hand(Side(bank=_baseline_bank(work)), name="full", kind="full", about=about))
    return told


def _baseline_bank(work: Work) -> AdapterBank:
    folder = work.folder.path / BASELINE / MODEL
    read_model_card(folder)
    spec = work.spec
    dtype: Any = "bfloat16" if spec.dtype == "float16" else spec.dtype
    return AdapterBank(load_base(str(folder), dtype=dtype, device=work.device, attention=spec.attention))


def _costs(work: Work, sides: Sides, trained: Done, baseline: Done | None) -> Mapping[str, Cost]:
    """What is on record of those that were trained, and how an adapter is put into memory."""
    name = "full" if work.spec.is_full else "adapter"
    folder = work.folder.path / (MODEL if work.spec.is_full else ADAPTER)
    costs = {
        name: Cost(
            loads=None if work.spec.is_full else lambda: _load_once(work, sides.trained.bank),
            num_bytes=_num_bytes(folder),
            num_trained=trained.summary.get("num_params"),
            training_s=trained.seconds,
        )
    }
    if baseline is not None:
        costs["full"] = Cost(
            num_bytes=_num_bytes(work.folder.path / BASELINE / MODEL),
            num_trained=baseline.summary["num_params"],
            training_s=baseline.summary["seconds"],
        )
    return costs


def _load_once(work: Work, bank: AdapterBank) -> None:
    bank.remove(bank.load(work.folder.path / ADAPTER))


def _num_bytes(folder: Any) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
