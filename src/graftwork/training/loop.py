"""The loop: optimizer steps over one adapter on a frozen base. Yields reports; writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import clip_grad_norm_

from graftwork.adapters.evolution import Moment
from graftwork.base.head import Halves, nats
from graftwork.core.errors import CapacityError, WorkError
from graftwork.data.batches import Mixture, micro_batches, step_indices
from graftwork.data.collate import Batch, collate, collate_packed
from graftwork.data.packs import packs
from graftwork.training.evolving import Evolving, advance, penalty_of
from graftwork.training.report import StepReport
from graftwork.training.schedule import rate_factor
from graftwork.training.spectral import hold_below

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.data.encode import Encoded
    from graftwork.training.spec import TrainSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One adapter's training.

    Attributes:
        params: the adapter's tensors by name, leaves that ask for gradients.
        records: what it learns from.
        lengths: tokens of each record.
        mixture: how often each source is seen.
        first_step: steps already done.
        evolving: what happens to the adapter between steps.
        below: what it stands on, the lowest first; not trained.
    """

    bank: AdapterBank
    handle: Handle
    split: Halves
    params: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    records: Sequence[Encoded]
    lengths: Sequence[int]
    mixture: Mixture
    spec: TrainSpec
    num_steps: int
    first_step: int = 0
    evolving: tuple[Evolving, ...] = ()
    below: tuple[Handle, ...] = ()


def optimizer_for(params: dict[str, Tensor], spec: TrainSpec) -> torch.optim.AdamW:
    """AdamW over `params`, in their order."""
    told = spec.optimizer
    return torch.optim.AdamW(
        list(params.values()),
        lr=spec.learning_rate,
        betas=(told.beta1, told.beta2),
        eps=told.eps,
        weight_decay=told.weight_decay,
        fused=True,
    )


def train(job: TrainJob, clock: Callable[[], float]) -> Iterator[StepReport]:
    """Do the steps that are left, and yield what happened at each.

    Raises:
        WorkError: a loss or gradient is not finite; names the step and its records. The adapter is as it was before.
    """
    for step in range(job.first_step, job.num_steps):
        began_s = clock()
        indices = step_indices(step, mixture=job.mixture, per_step=job.spec.records_per_step, seed=job.spec.seed)
        batches = [batch.to(job.bank.base.device) for batch in _batches(job, indices)]
        num_targets = sum(batch.num_targets for batch in batches)
        loss = sum(_accumulate(job, batch, num_targets, (step, i)) for i, batch in enumerate(batches))
        penalty = _penalised(job)
        grad_norm = _clipped(job)
        if not (isfinite(loss) and isfinite(grad_norm)):
            job.optimizer.zero_grad(set_to_none=True)
            raise WorkError(_not_finite(job, step, indices, loss, grad_norm))
        rate = job.spec.learning_rate * rate_factor(job.spec.schedule, step, job.num_steps)
        _update(job, rate, Moment(step=step + 1, num_steps=job.num_steps))
        cap = job.spec.spectral_cap
        yield StepReport(
            step=step + 1,
            loss_nats=loss,
            penalty=penalty,
            grad_norm=grad_norm,
            learning_rate=rate,
            num_targets=num_targets,
            num_tokens=sum(batch.num_tokens for batch in batches),
            seconds=clock() - began_s,
            max_singular_value=hold_below(_factors(job), cap) if cap is not None else None,
        )


def _batches(job: TrainJob, indices: list[int]) -> list[Batch]:
    """A step's records as micro-batches, or as packed rows."""
    told = job.spec.packing
    if told == "off":
        cut = micro_batches(indices, job.lengths, size=job.spec.batch_size)
        return [collate([job.records[i] for i in micro]) for micro in cut]
    rows = packs([job.lengths[i] for i in indices], row_tokens=told.row_tokens)
    return [collate_packed([job.records[indices[k]] for k in row]) for row in rows]


def _accumulate(job: TrainJob, batch: Batch, step_targets: int, at: tuple[int, int]) -> float:
    """Add a micro-batch's gradient. Divided by the targets of the whole step, so how it is cut does not matter."""
    rows = [(*job.below, job.handle)] * batch.tokens_BT.shape[0]
    with _dropout_drawn_from(job, at), job.bank.route(rows, training=True):
        try:
            loss = nats(job.split, batch.tokens_BT, batch.is_target_BT, batch.positions_BT) / step_targets
            loss.backward()
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            shape = f"{batch.tokens_BT.shape[0]} rows of {batch.tokens_BT.shape[1]} tokens"
            raise CapacityError(
                f"step {at[0] + 1}: {shape} do not fit into memory. Lower training.batch_size and raise "
                "training.accumulation by as much, or set training.gradient_checkpointing to true."
            ) from error
    return float(loss.detach())


def _penalised(job: TrainJob) -> float:
    """Add the gradient of the methods' penalty: once a step, however the step is cut."""
    penalty = penalty_of(job.bank[job.handle])
    if penalty is None:
        return 0.0
    penalty.backward()
    return float(penalty.detach())


def _factors(job: TrainJob) -> list[Tensor]:
    """The trained matrices of methods that act by matrices; of a stack of them (blocks, experts) each one."""
    adapter = job.bank[job.handle]
    named = [(here, name, tensor) for here in adapter.placed.values() for name, tensor in here.params.items()]
    trained = [t.detach() for here, name, t in named if here.method.caps(name, t.shape)]
    return [factor for tensor in trained for factor in tensor.view(-1, *tensor.shape[-2:]).unbind()]


def _clipped(job: TrainJob) -> float:
    most = job.spec.max_grad_norm
    return float(clip_grad_norm_(job.params.values(), float("inf") if most is None else most))


def _update(job: TrainJob, rate: float, moment: Moment) -> None:
    for group in job.optimizer.param_groups:
        group["lr"] = rate
    job.optimizer.step()
    advance(job.evolving, moment)
    job.optimizer.zero_grad(set_to_none=True)


@contextmanager
def _dropout_drawn_from(job: TrainJob, at: tuple[int, int]) -> Iterator[None]:
    """Random numbers by counter (seed, step, micro-batch), not by history: a resumed run draws the same."""
    if not any(getattr(here.spec, "dropout", 0.0) for here in job.bank[job.handle].placed.values()):
        yield
        return
    told = hashlib.sha256(f"{job.spec.seed}:{at}".encode()).digest()
    device = job.bank.base.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int.from_bytes(told[:8], "little") >> 1)
        yield


def _not_finite(job: TrainJob, step: int, indices: list[int], loss: float, grad_norm: float) -> str:
    origins = ", ".join(str(job.records[i].origin) for i in indices[:8])
    return (
        f"step {step + 1}: loss {loss}, gradient norm {grad_norm}; both must be finite. Its records: {origins}"
        f"{' ...' if len(indices) > 8 else ''}. Lower training.learning_rate or look at these records. "
        "The last checkpoint is kept."
    )
