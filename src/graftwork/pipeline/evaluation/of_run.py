"""The dimensions of a run's evaluation: base, what the adapter stands on, the adapter, and full tuning beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.core.digests import digest_of_file
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.read import files_of as files_of_source
from graftwork.evaluation.dimension import Given
from graftwork.pipeline.evaluation.baseline import FOLDER as BASELINE
from graftwork.pipeline.evaluation.costs import adapter_cost, model_cost
from graftwork.pipeline.evaluation.look import Scene, looked_at
from graftwork.pipeline.evaluation.manifests import Closely, certified
from graftwork.pipeline.evaluation.records import PreparedIn, found
from graftwork.pipeline.evaluation.subjects import AtHand, at_hand
from graftwork.pipeline.evaluation.trainings import Training, training_of
from graftwork.pipeline.model_folder import MODEL, read_model_card
from graftwork.pipeline.prepare import EVALUATION, TRAIN
from graftwork.pipeline.sides import Side, Sides
from graftwork.pipeline.train import ADAPTER
from graftwork.pipeline.work import Work, prepared_records

if TYPE_CHECKING:
    from graftwork.pipeline.evaluation.efficiency import Cost
    from graftwork.pipeline.folder import Done


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
        train=PreparedIn((work.folder.path / TRAIN,)),
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
    subjects = _subjects(work, sides, baseline)
    return certified(looked_at(scene, subjects), subjects, _trainings(work, baseline), spec.evaluation)


def _trainings(work: Work, baseline: Done | None) -> dict[str, Training]:
    own = {"full" if work.spec.is_full else "adapter": training_of(work.folder.path)}
    return own if baseline is None else {**own, "full": training_of(work.folder.path / BASELINE)}


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
    summary, folder = trained.summary, work.folder.path
    num_trained, training_s = summary.get("num_params"), trained.seconds
    if work.spec.is_full:
        return {"full": model_cost(folder / MODEL, num_trained=num_trained, training_s=training_s)}
    bank = sides.trained.bank
    own = {"adapter": adapter_cost(bank, folder / ADAPTER, num_trained=num_trained, training_s=training_s)}
    if baseline is None:
        return own
    told = baseline.summary
    model = folder / BASELINE / MODEL
    return {**own, "full": model_cost(model, num_trained=told["num_params"], training_s=told["seconds"])}
