"""A training as it begins, or goes on: what is trained on which records, put back to its newest checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.adapters.bank import AdapterBank, Handle
from graftwork.base.head import nats_of_states
from graftwork.base.packing import refuse_mixed_packs
from graftwork.core.errors import IntegrityError, SpecError
from graftwork.pipeline.below import load_below
from graftwork.pipeline.computing import continued
from graftwork.pipeline.conflict_problems import lone_task_problems
from graftwork.pipeline.folder import Done
from graftwork.pipeline.held_out import Looks, looks_of
from graftwork.pipeline.train_inputs import mixture_of
from graftwork.pipeline.work import Work, prepared_tokens
from graftwork.training.averaging import averages_of
from graftwork.training.checkpoints import Beside, refuse_unwritable, restore_newest, said_at
from graftwork.training.evolving import beside_of, evolving
from graftwork.training.job import Loss, TrainJob, layout_of
from graftwork.training.optimizers import optimizer_for
from graftwork.training.scaling import loss_scale_for
from graftwork.training.team import ALONE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from graftwork.pipeline.stages import Stage

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainee:
    """What is trained.

    Attributes:
        params: its tensors by name, leaves that ask for gradients.
        below: what it stands on, the lowest first, each with its digest before the first step.
        loss: what a batch costs; its gradient must reach all of `params`.
        ready: called once with the optimizer, when `params` hold what the first step begins from.
    """

    bank: AdapterBank
    handle: Handle
    params: dict[str, Tensor]
    below: dict[Handle, str]
    loss: Loss = nats_of_states
    ready: Callable[[torch.optim.Optimizer], None] = lambda _: None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A training at work: the job, what goes on beside its optimizer, its digest and where its checkpoints lie.

    Attributes:
        below: digests of what it stands on, before the first step.
        looks: at the held-out records; None for never.
        ready: as of the trainee; called again when the tensors are put back to those of another step.
        computing: what its steps are computed with, as `computing_now`.
    """

    job: TrainJob
    beside: Beside
    below: dict[Handle, str]
    digest: str
    checkpoints: Path
    looks: Looks | None
    ready: Callable[[torch.optim.Optimizer], None]
    computing: Mapping[str, Any]


def adapter_to_train(work: Work, stage: Stage | None, bank: AdapterBank | None = None) -> Trainee:
    """The recipe's adapter in its first state, or as the stage before left it, on the base and all that it stands on.

    Args:
        bank: that it is put into; one of its own by default.

    Raises:
        IntegrityError: what the stage before left is not what it was.
    """
    bank = bank or AdapterBank(work.base)
    below = load_below(work, bank)
    if stage is None or stage.start is None:
        handle = bank.fresh(work.spec.adapter, seed=work.spec.training.seed, name=work.spec.name)
    else:
        handle = bank.load(stage.start, name=work.spec.name)
        if (found := bank[handle].digest()) != stage.start_digest:
            raise IntegrityError(f"{stage.start}: its digest is {found}, it was {stage.start_digest}. Restore it.")
    params = {name: tensor.requires_grad_() for name, tensor in bank[handle].trained()}
    return Trainee(bank=bank, handle=handle, params=params, below=below)


def begin(work: Work, prepared: Done, job_digest: str, trainee: Trainee) -> Trained:
    """The training of `trainee`, as far as its newest whole checkpoint.

    Raises:
        SpecError: conflicts between tasks are asked for, and only one has records.
    """
    spec, bank = work.spec, trainee.bank
    records = prepared_tokens(work, "train", prepared.summary)
    mixture = mixture_of(work, records)
    if problems := list(lone_task_problems(spec.training, mixture.sizes)):
        raise SpecError(problems)
    layout = layout_of(bank, spec.training)
    if layout == "packed":
        refuse_mixed_packs(bank.base.halves, bank.base.device)
    params = trainee.params
    optimizer = optimizer_for(params, spec.training)
    checkpoints = work.folder.path / CHECKPOINTS / job_digest[:16]
    parts = evolving(bank[trainee.handle])
    averages = averages_of(params, spec.training.ema_decay)
    scale = loss_scale_for(bank.base.model.dtype)
    remembered = {"average": averages, "loss_scale": scale}
    also = {name: one.state for name, one in remembered.items() if one}
    beside = beside_of(bank[trainee.handle], parts, also)
    refuse_unwritable(checkpoints, params, beside)
    told: dict[str, Any] = {"job": job_digest, "params": params, "optimizer": optimizer, "beside": beside}
    first_step, computing = _restored(work, checkpoints, told)
    trainee.ready(optimizer)
    job = TrainJob(
        bank=bank,
        handle=trainee.handle,
        split=bank.base.halves,
        params=params,
        optimizer=optimizer,
        records=records,
        lengths=records.lengths.tolist(),
        mixture=mixture,
        spec=spec.training,
        num_steps=spec.training.num_steps(mixture.epoch_size),
        first_step=first_step,
        evolving=parts,
        below=tuple(trainee.below),
        loss=trainee.loss,
        averages=averages,
        scale=scale,
        team=work.crew.team,
        layout=layout,
    )
    return Trained(
        job=job,
        beside=beside,
        below=trainee.below,
        digest=job_digest,
        checkpoints=checkpoints,
        looks=looks_of(job, prepared_tokens(work, "evaluation", prepared.summary)),
        ready=trainee.ready,
        computing=computing,
    )


def _restored(work: Work, checkpoints: Path, state: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """The step of the newest whole checkpoint, whose tensors are in `state` now, and with what one goes on from it."""
    step, skipped = restore_newest(checkpoints, **state)
    for one in skipped:
        work.watch.say(f"{one.path.name} cannot be used: {one.reason}")
    if step:
        work.watch.say(f"going on from the checkpoint of step {step}")
    before = said_at(checkpoints, step).computing
    return step, continued(before, alone=work.crew.team is ALONE, say=work.watch.say)
