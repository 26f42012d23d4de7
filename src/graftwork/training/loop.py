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

from graftwork.core.errors import WorkError
from graftwork.training.conflict import Gathered, settle, taken
from graftwork.training.job import TrainJob
from graftwork.training.passes import Part, Step, accumulated, step_of
from graftwork.training.report import StepReport
from graftwork.training.scaling import unscale
from graftwork.training.update import Seen, updated

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
    gathered = {i: Gathered() for i in together}
    ended: dict[int, StepReport | WorkError] = {}
    of_jobs = [[(i, Part(job, step, k)) for k in range(len(step.micros))] for i, (job, step) in together.items()]
    for parts in zip_longest(*of_jobs):
        for one_pass in _passes([part for part in parts if part is not None], most_tokens):
            for (i, part), loss in zip(one_pass, accumulated([part for _, part in one_pass]), strict=True):
                gathered[i].losses.append(loss)
                if part.ends_task:
                    gathered[i].apart.append(taken(part.job.params.values()))
                if part.index + 1 == len(part.step.micros):  # at once: others' passes need not hold its gradients
                    ended[i] = _or_why(partial(_settled, part.job, part.step, gathered[i], clock, began_s))
    happened = [(i, ended[i]) for i in together]
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
    for skipped in count():
        gathered = _gathered(job, step)
        conflicts = settle(job, step, gathered)
        if not isfinite(gathered.loss) or unscale(job.scale, job.params.values()):
            return updated(job, step, Seen(gathered.loss, conflicts, skipped), clock, began_s)
    raise AssertionError  # count() has no end


def _gathered(job: TrainJob, step: Step) -> Gathered:
    leaves, gathered = list(job.params.values()), Gathered()
    for stretch in step.stretches:

        def one(index: int, first: int = stretch.start) -> float:
            return accumulated([Part(job, step, first + index)])[0]

        gathered.losses += job.team.accumulated(len(stretch), leaves, one)
        if step.tasks:
            gathered.apart.append(taken(leaves))
    return gathered


def _settled(job: TrainJob, step: Step, gathered: Gathered, clock: Clock, began_s: float) -> StepReport:
    return updated(job, step, Seen(gathered.loss, settle(job, step, gathered)), clock, began_s)
