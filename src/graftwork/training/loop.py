"""The loop: optimizer steps over one adapter, or over several at once. Yields reports; writes nothing.

Jobs that are trained together go through the same forward passes, a micro-batch of each at a time. Everything else of a
step - normalisation, penalties, clipping, the optimizer, what happens between steps - is each job's own, so each ends
with the bits that it would have alone, however many steps the others take.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, zip_longest
from math import isfinite

from torch.nn.utils import clip_grad_norm_

from graftwork.adapters.evolution import Moment
from graftwork.core.errors import WorkError
from graftwork.training.averaging import take_in
from graftwork.training.evolving import advance, penalty_of
from graftwork.training.job import TrainJob
from graftwork.training.optimizers import set_rate
from graftwork.training.passes import Part, Step, accumulated, step_of
from graftwork.training.regularise import add_l2
from graftwork.training.report import StepReport
from graftwork.training.scaling import grow, unscale
from graftwork.training.schedule import rate_factor
from graftwork.training.spectral import factors_of, hold_below

Clock = Callable[[], float]


def train(job: TrainJob, clock: Clock) -> Iterator[StepReport]:
    """Do the steps that are left, and yield what happened at each.

    Raises:
        WorkError: a loss or gradient is not finite; names the step and its records. The adapter is as it was before.
    """
    for number in range(job.first_step, job.num_steps):
        yield _stepped_alone(job, number, clock)


def train_together(
    jobs: Sequence[TrainJob], clock: Clock, *, ended: Collection[int] = (), most_tokens: int = 1024
) -> Iterator[tuple[int, StepReport | WorkError]]:
    """As `train` for several jobs of one bank, a step of each in every round.

    Args:
        ended: indices of jobs that take no further step; whoever reads the reports may add to it.
        most_tokens: of several micro-batches in one forward pass; a larger one has a pass of its own.

    Yields:
        The index of a job and what happened at its step, or why it ended there; the others go on.
    """
    numbers = {index: job.first_step for index, job in enumerate(jobs)}
    failed: set[int] = set()
    while True:
        active = [i for i, job in enumerate(jobs) if numbers[i] < job.num_steps and i not in failed and i not in ended]
        if not active:
            return
        for index, happened in _round({i: jobs[i] for i in active}, numbers, clock, most_tokens):
            numbers[index] += 1
            if isinstance(happened, WorkError):
                failed.add(index)
            yield index, happened


def _round(
    jobs: Mapping[int, TrainJob], numbers: Mapping[int, int], clock: Clock, most_tokens: int
) -> list[tuple[int, StepReport | WorkError]]:
    """One step of each job; all are done before anybody is told, so nobody's time is counted as another's."""
    began_s = clock()
    together = {i: (job, step_of(job, numbers[i])) for i, job in jobs.items() if job.joins}
    losses = dict.fromkeys(together, 0.0)
    of_jobs = [[(i, Part(job, step, k)) for k in range(len(step.micros))] for i, (job, step) in together.items()]
    for parts in zip_longest(*of_jobs):
        for one_pass in _passes([part for part in parts if part is not None], most_tokens):
            for (i, _), loss in zip(one_pass, accumulated([part for _, part in one_pass]), strict=True):
                losses[i] += loss
    happened = [
        (i, _or_why(partial(_updated, job, step, losses[i], clock, began_s))) for i, (job, step) in together.items()
    ]
    alone = jobs.keys() - together.keys()
    return happened + [(i, _or_why(partial(_stepped_alone, jobs[i], numbers[i], clock))) for i in sorted(alone)]


def _passes(parts: Sequence[tuple[int, Part]], most_tokens: int) -> Iterator[list[tuple[int, Part]]]:
    """Micro-batches of several jobs, in their order, cut so that each pass has at most so many tokens."""
    held: list[tuple[int, Part]] = []
    for one in parts:
        if held and sum(part.micro.num_tokens for _, part in [*held, one]) > most_tokens:
            yield held
            held = []
        held.append(one)
    if held:
        yield held


def _or_why(step: Callable[[], StepReport]) -> StepReport | WorkError:
    try:
        return step()
    except WorkError as error:
        return error


def _stepped_alone(job: TrainJob, number: int, clock: Clock) -> StepReport:
    began_s, step = clock(), step_of(job, number)

    def one(index: int) -> float:
        return accumulated([Part(job, step, index)])[0]

    for skipped in count():
        loss = sum(job.team.accumulated(len(step.micros), list(job.params.values()), one))
        if not isfinite(loss) or unscale(job.scale, job.params.values()):
            return _updated(job, step, loss, clock, began_s, skipped=skipped)
    raise AssertionError  # count() has no end


def _updated(job: TrainJob, step: Step, loss: float, clock: Clock, began_s: float, *, skipped: int = 0) -> StepReport:
    """Do to the adapter what a step does whose gradients are there.

    Raises:
        WorkError: loss or gradient are not finite. Nothing was changed.
    """
    penalty = _penalised(job)
    grad_norm = _clipped(job)
    if not (isfinite(loss) and isfinite(grad_norm)):
        job.optimizer.zero_grad(set_to_none=True)
        raise WorkError(_not_finite(job, step, loss, grad_norm))
    rate = job.spec.learning_rate * rate_factor(job.spec.schedule, step.number, job.num_steps)
    largest = _update(job, rate, Moment(step=step.number + 1, num_steps=job.num_steps))
    return StepReport(
        step=step.number + 1,
        loss_nats=loss,
        penalty=penalty,
        grad_norm=grad_norm,
        learning_rate=rate,
        num_targets=step.num_targets,
        num_tokens=step.num_tokens,
        seconds=clock() - began_s,
        max_singular_value=largest,
        skipped=skipped,
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
