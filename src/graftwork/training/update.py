"""What a step does to an adapter once its gradients are there."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from torch.nn.utils import clip_grad_norm_

from graftwork.adapters.evolution import Moment
from graftwork.core.errors import WorkError
from graftwork.training.averaging import take_in
from graftwork.training.evolving import advance, penalty_of
from graftwork.training.optimizers import set_rate
from graftwork.training.regularise import add_l2
from graftwork.training.report import ConflictReport, StepReport
from graftwork.training.scaling import grow
from graftwork.training.schedule import rate_factor
from graftwork.training.spectral import factors_of, hold_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftwork.training.job import TrainJob
    from graftwork.training.passes import Step


@dataclass(frozen=True, slots=True)
class Seen:
    """What the passes of a step have shown, as its report tells it."""

    loss: float
    conflicts: ConflictReport | None
    skipped: int = 0


def updated(job: TrainJob, step: Step, seen: Seen, clock: Callable[[], float], began_s: float) -> StepReport:
    """Do to the adapter what a step does whose gradients are there.

    Raises:
        WorkError: loss or gradient are not finite. Nothing was changed.
    """
    penalty = _penalised(job)
    grad_norm = _clipped(job)
    if not (isfinite(seen.loss) and isfinite(grad_norm)):
        job.optimizer.zero_grad(set_to_none=True)
        raise WorkError(_not_finite(job, step, seen.loss, grad_norm))
    rate = job.spec.learning_rate * rate_factor(job.spec.schedule, step.number, job.num_steps)
    largest = _update(job, rate, Moment(step=step.number + 1, num_steps=job.num_steps))
    return StepReport(
        step=step.number + 1,
        loss_nats=seen.loss,
        penalty=penalty,
        grad_norm=grad_norm,
        learning_rate=rate,
        num_targets=step.num_targets,
        num_tokens=step.num_tokens,
        seconds=clock() - began_s,
        max_singular_value=largest,
        skipped=seen.skipped,
        conflicts=seen.conflicts,
    )


def _penalised(job: TrainJob) -> float:
    """Add the gradient of the methods' penalty and of L2: once a step, however the step is cut."""
    penalty = penalty_of(job.bank[job.handle])
    if penalty is not None:
        penalty.backward()
    of_methods = 0.0 if penalty is None else float(penalty.detach())
    return of_methods + add_l2(job.params.values(), job.spec.l2)


def _clipped(job: TrainJob) -> float:
    most = job.spec.max_grad_norm
    return float(clip_grad_norm_(job.params.values(), float("inf") if most is None else most))


def _update(job: TrainJob, rate: float, moment: Moment) -> float | None:
    """Do what a step does to the adapter; the largest singular value before it was capped, if it is."""
    set_rate(job.optimizer, rate)
    job.optimizer.step()
    advance(job.evolving, moment)
    job.optimizer.zero_grad(set_to_none=True)
    cap = job.spec.spectral_cap
    largest = None if cap is None else hold_below(factors_of(job.bank[job.handle]), cap)
    grow(job.scale)
    if job.averages:
        take_in(job.averages)
    return largest


def _not_finite(job: TrainJob, step: Step, loss: float, grad_norm: float) -> str:
    origins = ", ".join(str(job.records[i].origin) for i in step.indices[:8])
    return (
        f"step {step.number + 1}: loss {loss}, gradient norm {grad_norm}; both must be finite. Its records: {origins}"
        f"{' ...' if len(step.indices) > 8 else ''}. Lower training.learning_rate or look at these records. "
        "The last checkpoint is kept."
    )
