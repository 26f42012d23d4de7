"""An optimizer step's work over several processes, with the bits of one.

A step's gradient is a sum over its M micro-batches, and a sum of floats depends on its order. So a process computes
whole micro-batches: the step goes in rounds, and in the round that begins with micro-batch f the process of rank r has
micro-batch f + r. After each round every process gets the gradient of each, and adds them to what it has, in the order
in which one process alone adds them:

    g = ((g_0 + g_1) + g_2) + ... + g_(M-1)

All else of a step (penalty, clipping, the update) every process does for itself, from the same bits to the same bits;
that they have not drifted apart is seen at the start of each step. Only gradients of the adapter travel: a process
receives (processes - 1) times its bytes in a round.

Source: data-parallel training as in Li et al. 2020, https://arxiv.org/abs/2006.15704, section 3.
Departs from it: gradients are gathered and added in order. Its reduction adds in an order that depends on the number of
processes, and so does its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from graftwork.core.errors import IntegrityError, WorkError
from graftwork.training.team import round_of

ANSWER_S = 600.0
"""Longest wait for the others within a step, in which all do about the same. One that dies is noticed at once."""

IDLE, DONE, FAILED = 0, 1, 2
STATE, LOSS, SUM, GRADS = 0, 1, 2, 3
"""What a round's header holds: how it went, the loss, a sum over the leaves, and which leaves have a gradient."""


class Gone(WorkError):  # noqa: N818  of another, not of this one
    """Another process is gone, and this one cannot go on without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one process made of its micro-batch."""

    state: int
    loss: float = 0.0
    error: Exception | None = None


@contextmanager
def joined(
    store: Any,
    *,
    rank: int,
    size: int,
    device: torch.device,
    lost: Callable[[], str],
    shards: bool = False,
    answer_s: float = ANSWER_S,
) -> Iterator[Joined]:
    """Inside, this process is number `rank` of `size` that work in step; each of them enters.

    Args:
        store: a torch.distributed store that all of them see.
        lost: why another may be gone, in words; asked when it does not answer.
        shards: whether each holds a part of the base, so that none can compute without all others.
    """
    backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"
    if dist.is_initialized():
        raise WorkError("torch.distributed is at work in this process already. Let graftwork start it.")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # what NCCL and a base that is spread take for granted
    try:
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=answer_s))
    except RuntimeError as error:
        raise WorkError(f"the {size} processes do not reach each other: {lost()}") from error
    try:
        yield Joined(lost, shards=shards)
    finally:
        dist.destroy_process_group()


class Joined:
    """A team over the processes of torch.distributed's own group."""

    def __init__(self, lost: Callable[[], str], *, shards: bool) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._lost, self._shards = lost, shards

    def accumulated(self, number: int, leaves: Sequence[Tensor], one: Callable[[int], float]) -> list[float]:
        """As `Team.accumulated`, in rounds."""
        sums = [leaf.grad for leaf in leaves]
        losses: list[float] = []
        for first in range(0, number, self.size):
            for leaf in leaves:
                leaf.grad = None
            index = round_of(first, rank=self.rank, size=self.size, number=number)
            outcome = _tried(one, index)
            if index is None and self._shards:
                outcome = _lent(_tried(one, number - 1), leaves)
            headers = self._headers(outcome, leaves, _sum_of(leaves) if first == 0 else 0)
            sums = self._added(headers, leaves, sums)
            losses += [float(head[LOSS].view(torch.float64)) for head in headers if head[STATE] == DONE]
        for leaf, total in zip(leaves, sums, strict=True):
            leaf.grad = total
        return losses

    def any_of(self, yes: bool) -> bool:
        """As `Team.any_of`."""
        said = torch.tensor([int(yes)])
        with self._told():
            dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said[0])

    def each(self, value: object) -> list[Any]:
        """What every process gives here, in the order of their ranks. Picklable, and small."""
        values: list[Any] = [None] * self.size
        with self._told():
            dist.all_gather_object(values, value)
        return values

    def _headers(self, outcome: Outcome, leaves: Sequence[Tensor], leaves_sum: int) -> list[Tensor]:
        """What became of the round everywhere. It goes through the processors, so a dead process is seen at once."""
        head = torch.zeros(GRADS + len(leaves), dtype=torch.int64)
        head[STATE], head[SUM] = outcome.state, leaves_sum
        head[LOSS] = torch.tensor(outcome.loss, dtype=torch.float64).view(torch.int64)
        head[GRADS:] = torch.tensor([leaf.grad is not None for leaf in leaves])
        heads = self._gathered(head)
        if any(other[SUM] != head[SUM] for other in heads):
            raise IntegrityError("the processes do not hold the same adapter any more. Nothing of this step was kept.")
        if any(other[STATE] == FAILED for other in heads):
            raise _first_of(self.each(outcome.error))
        return heads

    def _added(
        self, heads: Sequence[Tensor], leaves: Sequence[Tensor], sums: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """The sums with the round's gradients added, rank by rank, which is the order of its micro-batches."""
        added = list(sums)
        for at in _by_type(leaves):
            flat = torch.cat([_gradient(leaves[i]).reshape(-1) for i in at])
            for head, other in zip(heads, self._gathered(flat), strict=True):
                parts = other.split([leaves[i].numel() for i in at])
                for i, part in zip(at, parts, strict=True):
                    if head[GRADS + i]:
                        total, gradient = added[i], part.view(leaves[i].shape)
                        added[i] = gradient.clone() if total is None else total.add_(gradient)
        return added

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        everybodys = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._told():
            dist.all_gather(everybodys, tensor)
        return everybodys

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise Gone(f"{self._lost()} The last checkpoint is kept; the same command goes on from it.") from error


def _tried(one: Callable[[int], float], index: int | None) -> Outcome:
    """Its failure is a value, for the others to hear of: they wait for its gradients."""
    if index is None:
        return Outcome(state=IDLE)
    try:
        return Outcome(state=DONE, loss=one(index))
    except Exception as error:  # noqa: BLE001  it is raised again, in every process
        return Outcome(state=FAILED, error=error)


def _lent(outcome: Outcome, leaves: Sequence[Tensor]) -> Outcome:
    """Nothing was asked of this process, but the others need its part of the base: what it computed is dropped."""
    for leaf in leaves:
        leaf.grad = None
    return Outcome(state=IDLE) if outcome.error is None else outcome


def _first_of(errors: Sequence[Exception | None]) -> Exception:
    return next(error for error in errors if error is not None)


def _sum_of(leaves: Sequence[Tensor]) -> int:
    """A sum over the bits of all leaves: the same everywhere as long as their values are. Whole numbers add exactly."""
    kinds = {4: torch.int32, 8: torch.int64, 2: torch.int16}
    sums = [leaf.detach().reshape(-1).view(kinds[leaf.element_size()]).sum(dtype=torch.int64) for leaf in leaves]
    return int(torch.stack(sums).sum()) if sums else 0


def _by_type(leaves: Sequence[Tensor]) -> list[list[int]]:
    """Indices of the leaves that can travel in one tensor."""
    kinds: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for i, leaf in enumerate(leaves):
        kinds.setdefault((leaf.dtype, leaf.device), []).append(i)
    return list(kinds.values())


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
