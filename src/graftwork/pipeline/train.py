"""Step `train`: an adapter from the prepared records, resumable after any interruption."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from graftwork.adapters.evolution import schedule_problems
from graftwork.adapters.files import write_adapter
from graftwork.adapters.probing import put_fingerprint
from graftwork.adapters.standing import noted
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError, SpecError
from graftwork.pipeline.begin import Trained, adapter_to_train, begin
from graftwork.pipeline.below import refuse_moved
from graftwork.pipeline.computing import computed_with
from graftwork.pipeline.folder import Done
from graftwork.pipeline.provenance import provenance
from graftwork.pipeline.session import to_the_end
from graftwork.pipeline.spectra import put_spectra
from graftwork.pipeline.train_inputs import num_steps, train_inputs
from graftwork.pipeline.work import Work
from graftwork.training.evolving import finished

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.pipeline.stages import Stage

ADAPTER = "adapter"


def train_adapter(work: Work, prepared: Done, stage: Stage | None = None) -> Done:
    """Do the step, unless it is done already; go on from the newest checkpoint when there is one.

    Args:
        stage: which of several trainings of the adapter this is; None when it is the only one.

    Raises:
        SpecError: a target matches nothing, or the method's schedule does not fit the number of steps.
        WorkError: the loss is not finite any more, or nothing can be written to the run's folder.
        CapacityError: no room is left there for a checkpoint.
        IntegrityError: a byte of the base, or of an adapter below, moved while training, which must never happen.
        Interrupted: asked to stop; the state is saved.
    """
    begun = begun_or_done(work, prepared, stage)
    return begun if isinstance(begun, Done) else begun.written(to_the_end(work, begun.trained))


def begun_or_done(
    work: Work, prepared: Done, stage: Stage | None = None, bank: AdapterBank | None = None
) -> Begun | Done:
    """The training, as far as its newest checkpoint; or what it left, if it is done already. Raises as
    `train_adapter`."""
    began_s, inputs = time.monotonic(), train_inputs(work, prepared, stage)
    if done := work.folder.still_done("train", inputs):
        work.watch.say("train: done already")
        return done
    if problems := schedule_problems(work.spec.adapter, num_steps(work, prepared)):
        raise SpecError(problems)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    base_before = work.base.tensor_digest()
    trained = begin(work, prepared, digest(inputs), adapter_to_train(work, stage, bank))
    return Begun(
        work=work,
        prepared=prepared,
        stage=stage,
        inputs=inputs,
        trained=trained,
        base_before=base_before,
        began_s=began_s,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A training that is not at its end.

    Attributes:
        inputs: what its result follows from.
        base_before: digest of the base's tensors before the first step.
    """

    work: Work
    prepared: Done
    stage: Stage | None
    inputs: dict[str, Any]
    trained: Trained
    base_before: str
    began_s: float

    def written(self, ended: dict[str, Any]) -> Done:
        """Write the adapter of a training that is at its end, as `to_the_end` tells.

        Raises:
            IntegrityError: a byte of the base, or of an adapter below, moved.
        """
        work, prepared, stage, trained = self.work, self.prepared, self.stage, self.trained
        if work.base.tensor_digest() != self.base_before:
            raise IntegrityError(
                "the base's tensors changed while training. Nothing was kept; this is a bug, report it."
            )
        refuse_moved(trained.job.bank, trained.below)
        if kept := work.folder.set_aside(ADAPTER):
            work.watch.say(f"an adapter of other inputs lay here; it is kept at {kept}")
        job = trained.job
        adapter = finished(job.bank[job.handle], job.evolving)
        updates = put_spectra(work, trained, adapter, step=ended["kept_step"], written=True)
        folder = work.folder.path / ADAPTER
        on = noted(work.below[-1], work.spec.on, folder) if work.spec.on else None
        told = provenance(work, prepared, ended["kept_step"], trained.computing)
        if stage:
            told["stages"] = stage.lineage(work, prepared, ended["kept_step"], adapter.digest())
        card = write_adapter(folder, adapter, work.base, told, on=on)
        summary: dict[str, Any] = {
            "adapter_digest": card.digest,
            "num_params": adapter.num_params,
            "num_base_params": work.base.facts.num_params,
            **ended,
            "base_tensors": self.base_before,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        if updates:
            summary["updates"] = updates
        if job.evolving:
            summary["ranks"] = {key: getattr(here.spec, "rank", None) for key, here in adapter.placed.items()}
        with computed_with(trained.computing["threads"]):
            put_fingerprint(folder, job.bank, job.below)
        for handle in (*job.below, job.handle):
            job.bank.remove(handle)
        outputs = [f"{ADAPTER}/{path.name}" for path in folder.iterdir()]
        return work.folder.record("train", self.inputs, outputs, summary, self.began_s)
