"""The gradients of a step kept apart by task, compared, and put together again.

A task is a source of the recipe. A step's micro-batches are cut so that each has records of one task, in the order of
the tasks; the gradients of a task's micro-batches add up where they always do, and are then taken away until all tasks
have theirs. Their sum is the gradient that the step has without: each loss is divided by the targets of the whole step.

Shape suffixes: K tasks of the step, N numbers of one tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import TYPE_CHECKING

import torch

from graftwork.training.conflict_weights import angle_deg, cosine, norm_ratio, orders, projected, summed
from graftwork.training.report import ConflictReport, PairReport, TaskReport

if TYPE_CHECKING:
    from torch import Tensor

    from graftwork.training.conflict_weights import Products
    from graftwork.training.job import TrainJob
    from graftwork.training.passes import Step

Gradients = list["Tensor | None"]
"""One for each trained tensor; None for one that nothing of the task has reached."""

AT_ONCE = 1 << 20
"""Numbers of a tensor that are compared at a time: they are widened to float64 for it."""


@dataclass(slots=True)
class Gathered:
    """What the passes of a step have given so far.

    Attributes:
        losses: what each micro-batch adds to the loss of the step.
        apart: gradients of the tasks that are through, in their order; none where tasks are not kept apart.
    """

    losses: list[float] = field(default_factory=list)
    apart: list[Gradients] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Of the step."""
        return sum(self.losses)


def taken(leaves: Iterable[Tensor]) -> Gradients:
    """The gradients of `leaves`, which have none afterwards."""
    gradients: Gradients = []
    for leaf in leaves:
        gradients.append(leaf.grad)
        leaf.grad = None
    return gradients


def settle(job: TrainJob, step: Step, gathered: Gathered) -> ConflictReport | None:
    """Give the leaves of `job` the gradient of the whole step, from those of its tasks; None where they were not kept
    apart and it is there already."""
    if not gathered.apart:
        return None
    products = products_of(gathered.apart)
    order = orders(len(products), seed=job.spec.seed, step=step.number)
    is_finite = all(isfinite(value) for row in products for value in row)  # if not, whoever looks at the sum sees it
    plain = [1.0] * len(products)
    weights = summed(projected(products, order)) if is_finite else plain
    put_together(job.params.values(), gathered.apart, weights if job.spec.conflicts == "project" else plain)
    return ConflictReport(
        tasks=_tasks(job, step, gathered.losses, products),
        pairs=_pairs(step, products),
        norm_ratio=norm_ratio(products, weights),
    )


def products_of(apart: Sequence[Gradients]) -> list[list[float]]:
    """The product of every two tasks' gradients, each as one vector over all tensors; in float64."""
    total: Tensor | None = None
    for leaf_K in zip(*apart, strict=True):
        some = next((gradient for gradient in leaf_K if gradient is not None), None)
        if some is None:
            continue
        flat_K = [torch.zeros_like(some).reshape(-1) if g is None else g.reshape(-1) for g in leaf_K]
        for part_K in zip(*(flat_N.split(AT_ONCE) for flat_N in flat_K), strict=True):
            part_KN = torch.stack(part_K).double()
            products_KK = part_KN @ part_KN.T
            total = products_KK if total is None else total + products_KK
    if total is None:
        return [[0.0] * len(apart) for _ in apart]
    told: list[list[float]] = total.tolist()
    return told


def put_together(leaves: Iterable[Tensor], apart: Sequence[Gradients], weights: Sequence[float]) -> None:
    """Give each leaf the weighted sum of its gradients, in the order of the tasks; they are used up. One that nothing
    has reached stays without."""
    for leaf, leaf_K in zip(leaves, zip(*apart, strict=True), strict=True):
        total: Tensor | None = None
        for gradient, weight in zip(leaf_K, weights, strict=True):
            if gradient is not None:
                total = gradient.mul_(weight) if total is None else total.add_(gradient, alpha=weight)
        leaf.grad = total


def _tasks(job: TrainJob, step: Step, losses: Sequence[float], products: Products) -> tuple[TaskReport, ...]:
    scale = 1.0 if job.scale is None else job.scale.scale
    told = []
    for k, stretch in enumerate(step.stretches):
        num_targets = sum(step.targets[index] for index in stretch)
        told.append(
            TaskReport(
                source=step.tasks[stretch.start],
                loss_nats=sum(losses[index] for index in stretch) * step.num_targets / max(1, num_targets),
                num_targets=num_targets,
                grad_norm=sqrt(products[k][k]) / scale,
            )
        )
    return tuple(told)


def _pairs(step: Step, products: Products) -> tuple[PairReport, ...]:
    sources = [step.tasks[stretch.start] for stretch in step.stretches]
    told = []
    for k, source in enumerate(sources):
        for other in range(k + 1, len(sources)):
            found = cosine(products, k, other)
            told.append(PairReport(sources=(source, sources[other]), cosine=found, angle_deg=angle_deg(found)))
    return tuple(told)
