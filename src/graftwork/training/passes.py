"""What an optimizer step computes: micro-batches, and the forward and backward pass of one or of several jobs'.

Records of several jobs lie in one row, so the frozen layers see many tokens at a time. Each job's loss is divided by
its own targets, its attention is computed by itself, and its dropout is drawn from its own counter: a job's gradients
have the same bits whoever else is in the row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from graftwork.adapters.route import Group
from graftwork.core.errors import CapacityError
from graftwork.data.batches import micro_batches, step_indices
from graftwork.data.collate import Batch, collate, collate_packed
from graftwork.data.packs import packs
from graftwork.data.shared import Laid, laid_out
from graftwork.training.scaling import scaled

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

    from graftwork.training.job import TrainJob

APART = {"attention_cache", "input_embedding"}
"""Sites that put something in front of each record: what records begin with stands behind it in each of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step of a job.

    Attributes:
        number: counted from 0.
        indices: of its records.
        micros: what its forward passes read.
        targets: of each of them.
        tasks: the source that each of them is of, in ascending order; none where records of all are mixed.
    """

    number: int
    indices: list[int]
    micros: tuple[Laid | Batch, ...]
    targets: tuple[int, ...]
    tasks: tuple[int, ...] = ()

    @property
    def num_targets(self) -> int:
        """Of all of it."""
        return sum(self.targets)

    @property
    def num_tokens(self) -> int:
        """Of its records, whatever of them is computed."""
        return sum(micro.num_tokens for micro in self.micros)

    @property
    def stretches(self) -> list[range]:
        """Indices of the micro-batches of each task; all together where they are not kept apart."""
        if not self.tasks:
            return [range(len(self.micros))]
        begins = [k for k, task in enumerate(self.tasks) if k == 0 or self.tasks[k - 1] != task]
        return [range(begin, end) for begin, end in pairwise([*begins, len(self.tasks)])]


@dataclass(frozen=True, slots=True)
class Part:
    """One job's micro-batch in a forward pass.

    Attributes:
        index: of the micro-batch in its step.
    """

    job: TrainJob
    step: Step
    index: int

    @property
    def micro(self) -> Laid | Batch:
        """What it reads."""
        return self.step.micros[self.index]

    @property
    def ends_task(self) -> bool:
        """Whether it is the last of a task that is kept apart."""
        tasks, after = self.step.tasks, self.index + 1
        return bool(tasks) and tasks[after : after + 1] != tasks[self.index : after]

    @property
    def seed(self) -> int:
        """What its dropout is drawn from: by counter, not by history, so a resumed run draws the same."""
        told = hashlib.sha256(f"{self.job.spec.seed}:{self.step.number}:{self.index}".encode()).digest()
        return int.from_bytes(told[:8], "little") >> 1


def step_of(job: TrainJob, number: int) -> Step:
    """The records of a step, cut into micro-batches; each of one task, where they are to be kept apart."""
    indices = step_indices(number, mixture=job.mixture, per_step=job.spec.records_per_step, seed=job.spec.seed)
    if job.spec.conflicts == "off":
        return Step(number, indices, *_read(job, _cut(job, indices)))
    of_tasks = [(task, one) for task, mine in _by_task(job, indices).items() for one in _cut(job, mine)]
    return Step(number, indices, *_read(job, [one for _, one in of_tasks]), tuple(task for task, _ in of_tasks))


def _by_task(job: TrainJob, indices: Sequence[int]) -> dict[int, list[int]]:
    tasks: dict[int, list[int]] = {}
    for index in indices:
        tasks.setdefault(job.mixture.source_of(index), []).append(index)
    return dict(sorted(tasks.items()))


def _cut(job: TrainJob, indices: Sequence[int]) -> list[list[int]]:
    if isinstance(job.spec.packing, str):
        return micro_batches(indices, job.lengths, size=job.spec.batch_size)
    rows = packs([job.lengths[i] for i in indices], row_tokens=job.spec.packing.row_tokens)
    return [[indices[k] for k in row] for row in rows]


def _read(job: TrainJob, cut: Sequence[Sequence[int]]) -> tuple[tuple[Laid | Batch, ...], tuple[int, ...]]:
    """What the forward passes read, and the number of targets of each."""
    shares = job.layout == "groups" and _may_share(job)
    micros = tuple(_micro(job, indices, shares=shares) for indices in cut)
    return micros, tuple(len(one.targets_P) if isinstance(one, Laid) else one.num_targets for one in micros)


def _may_share(job: TrainJob) -> bool:
    sites = {here.method.site for handle in job.row for here in job.bank[handle].placed.values()}
    return not (job.has_dropout or sites & APART)


def _micro(job: TrainJob, indices: Sequence[int], *, shares: bool) -> Laid | Batch:
    records = [job.records[i] for i in indices]
    if job.layout == "groups":
        return laid_out(records, shares=shares)
    batch = collate(records) if job.layout == "rows" else collate_packed(records)
    return batch.to(job.bank.host.device)


def accumulated(parts: Sequence[Part]) -> list[float]:
    """Add the gradients of micro-batches of one job, or of several that `joins`, in one pass.

    Each is divided by the targets of its whole step, so how that is cut does not matter.

    Returns:
        What each adds to the loss of its step.

    Raises:
        CapacityError: they do not fit into memory.
    """
    with parts[0].job.bank.host.between.lighter(), _routed(parts):
        try:
            losses = [
                part.job.loss(part.job.split, states_PH, targets_P) / part.step.num_targets
                for part, (states_PH, targets_P) in zip(parts, _states(parts), strict=True)
            ]
            torch.stack(
                [scaled(loss, part.job.scale) for part, loss in zip(parts, losses, strict=True)]
            ).sum().backward()
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            raise CapacityError(_too_large(parts)) from error
    return [float(loss.detach()) for loss in losses]


def _routed(parts: Sequence[Part]) -> AbstractContextManager[object]:
    bank, first = parts[0].job.bank, parts[0]
    seeds = [part.seed for part in parts] if any(part.job.has_dropout for part in parts) else None
    if isinstance(first.micro, Batch):
        return bank.route([first.job.row] * first.micro.tokens_BT.shape[0], training=True, seeds=seeds)
    groups = [(part.job.row, Group(one.lengths, one.shared)) for part in parts if isinstance(one := part.micro, Laid)]
    return bank.route_groups(groups, training=True, seeds=seeds)


def _states(parts: Sequence[Part]) -> list[tuple[Tensor, Tensor]]:
    """For each part the states_PH that predict a target, and targets_P."""
    split, device = parts[0].job.split, parts[0].job.bank.host.device
    if isinstance(batch := parts[0].micro, Batch):
        predicting_BT = batch.is_target_BT[:, 1:]  # the state at t predicts the token at t + 1
        hidden_BTH = split.hidden_BTH(batch.tokens_BT, batch.positions_BT)[:, :-1]
        return [(hidden_BTH[predicting_BT], batch.tokens_BT[:, 1:][predicting_BT])]
    laid = [one for part in parts if isinstance(one := part.micro, Laid)]
    tokens_N = torch.cat([one.tokens_N for one in laid]).to(device)
    positions_N = torch.cat([one.positions_N for one in laid]).to(device)
    hidden_NH = split.hidden_BTH(tokens_N[None], positions_N[None])[0]
    pieces = hidden_NH.split([len(one.tokens_N) for one in laid])
    return [
        (own_NH[one.states_P.to(device)], one.targets_P.to(device)) for own_NH, one in zip(pieces, laid, strict=True)
    ]


def _too_large(parts: Sequence[Part]) -> str:
    told = f"step {parts[0].step.number + 1}: {sum(part.micro.num_tokens for part in parts)} tokens at once"
    return (
        f"{told} do not fit into memory. Lower training.batch_size and raise training.accumulation by as much, or set "
        "training.gradient_checkpointing to true."
    )
