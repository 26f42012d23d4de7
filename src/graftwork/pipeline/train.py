"""Step `train`: an adapter from the prepared records, resumable after any interruption."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.adapters.evolution import schedule_problems
from graftwork.adapters.files import write_adapter
from graftwork.adapters.standing import noted
from graftwork.base.packing import refuse_mixed_packs
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError, Interrupted, SpecError
from graftwork.core.files import write_text
from graftwork.pipeline.below import load_below, refuse_moved
from graftwork.pipeline.folder import Done
from graftwork.pipeline.provenance import provenance
from graftwork.pipeline.train_inputs import mixture_of, num_steps, train_inputs
from graftwork.pipeline.work import Work, prepared_tokens
from graftwork.training.checkpoints import Beside, restore_newest, save_checkpoint
from graftwork.training.evolving import beside_of, evolving, finished
from graftwork.training.loop import TrainJob, optimizer_for, train
from graftwork.training.memory import checkpoint_activations, give_back_free_memory, keep_activations

ADAPTER, METRICS, CHECKPOINTS = "adapter", "metrics.jsonl", "checkpoints"
TRIM_EVERY = 5
"""Steps between giving free memory back: under 1 % of the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A training at work: the job, what goes on beside its optimizer, its digest and where its checkpoints lie.

    Attributes:
        below: digests of what it stands on, before the first step.
    """

    job: TrainJob
    beside: Beside
    below: dict[Handle, str]
    digest: str
    checkpoints: Path


def train_adapter(work: Work, prepared: Done) -> Done:
    """Do the step, unless it is done already; go on from the newest checkpoint when there is one.

    Raises:
        SpecError: a target matches nothing, or the method's schedule does not fit the number of steps.
        WorkError: the loss is not finite any more.
        IntegrityError: a byte of the base, or of an adapter below, moved while training, which must never happen.
        Interrupted: asked to stop; the state is saved.
    """
    began_s, inputs = time.monotonic(), train_inputs(work, prepared)
    if done := work.folder.still_done("train", inputs):
        work.watch.say("train: done already")
        return done
    if problems := schedule_problems(work.spec.adapter, num_steps(work, prepared)):
        raise SpecError(problems)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    base_before = work.base.tensor_digest()
    trained = _begin(work, prepared, digest(inputs))
    _to_the_end(work, trained)
    if work.base.tensor_digest() != base_before:
        raise IntegrityError("the base's tensors changed while training. Nothing was kept; this is a bug, report it.")
    refuse_moved(trained.job.bank, trained.below)
    if kept := work.folder.set_aside(ADAPTER):
        work.watch.say(f"an adapter of other inputs lay here; it is kept at {kept}")
    job = trained.job
    adapter = finished(job.bank[job.handle], job.evolving)
    folder = work.folder.path / ADAPTER
    on = noted(work.below[-1], work.spec.on, folder) if work.spec.on else None
    card = write_adapter(folder, adapter, work.base, provenance(work, prepared, job.num_steps), on=on)
    summary: dict[str, Any] = {
        "adapter_digest": card.digest,
        "num_params": adapter.num_params,
        "num_base_params": work.base.facts.num_params,
        "num_steps": job.num_steps,
        "base_tensors": base_before,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if job.evolving:
        summary["ranks"] = {key: getattr(here.spec, "rank", None) for key, here in adapter.placed.items()}
    for handle in (*job.below, job.handle):
        job.bank.remove(handle)
    outputs = [f"{ADAPTER}/{path.name}" for path in folder.iterdir()]
    return work.folder.record("train", inputs, outputs, summary, began_s)


def _begin(work: Work, prepared: Done, job_digest: str) -> Trained:
    spec = work.spec
    bank = AdapterBank(work.base)
    below = load_below(work, bank)
    handle = bank.fresh(spec.adapter, seed=spec.training.seed, name=spec.name)
    records = prepared_tokens(work, "train", prepared.summary)
    mixture = mixture_of(work, records)
    if spec.training.packing != "off":
        refuse_mixed_packs(work.base.halves, work.base.device)
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
    optimizer = optimizer_for(params, spec.training)
    checkpoints = work.folder.path / CHECKPOINTS / job_digest[:16]
    parts = evolving(bank[handle])
    beside = beside_of(bank[handle], parts)
    first_step, skipped = restore_newest(checkpoints, job=job_digest, params=params, optimizer=optimizer, beside=beside)
    for one in skipped:
        work.watch.say(f"{one.path.name} cannot be used: {one.reason}")
    if first_step:
        work.watch.say(f"going on from the checkpoint of step {first_step}")
    job = TrainJob(
        bank=bank,
        handle=handle,
        split=work.base.halves,
        params=params,
        optimizer=optimizer,
        records=records,
        lengths=records.lengths.tolist(),
        mixture=mixture,
        spec=spec.training,
        num_steps=spec.training.num_steps(mixture.epoch_size),
        first_step=first_step,
        evolving=parts,
        below=tuple(below),
    )
    return Trained(job=job, beside=beside, below=below, digest=job_digest, checkpoints=checkpoints)


def _to_the_end(work: Work, trained: Trained) -> None:
    job = trained.job
    metrics = work.folder.path / METRICS
    _keep_until(work, job.first_step, trained.digest)
    work.watch.training(job.first_step, job.num_steps)
    if job.spec.gradient_checkpointing:
        checkpoint_activations(job.bank)
    try:
        with metrics.open("a", encoding="utf-8") as file:
            for last in train(job, time.monotonic):
                file.write(json.dumps({**asdict(last), "job": trained.digest[:16]}) + "\n")
                file.flush()
                work.watch.step(last)
                if last.step % TRIM_EVERY == 0:
                    give_back_free_memory()
                stop = work.watch.should_stop() and last.step < job.num_steps  # after the last, the adapter is written
                if stop or last.step % job.spec.checkpoint_every == 0 or last.step == job.num_steps:
                    _save(trained, last.step)
                if stop:
                    raise Interrupted(f"saved after step {last.step} of {job.num_steps}")
    finally:
        if job.spec.gradient_checkpointing:
            keep_activations(job.bank)


def _save(trained: Trained, step: int) -> None:
    job = trained.job
    save_checkpoint(
        trained.checkpoints,
        step=step,
        job=trained.digest,
        params=job.params,
        optimizer=job.optimizer,
        beside=trained.beside,
    )


def _keep_until(work: Work, step: int, job: str) -> None:
    """Drop metrics of steps after `step`, which are about to be done again; those of another job are set aside."""
    metrics = work.folder.path / METRICS
    lines = metrics.read_text("utf-8").splitlines() if metrics.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    if any(row["job"] != job[:16] for row in rows):
        work.folder.set_aside(METRICS)
    kept = [row for row in rows if row["job"] == job[:16] and row["step"] <= step]
    write_text(metrics, "".join(json.dumps(row) + "\n" for row in kept))
