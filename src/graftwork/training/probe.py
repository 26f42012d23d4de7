"""How many records fit into a forward and backward pass: one step each at growing sizes, and what memory it took.

Sizes are the divisors of a step's records, so a step sees the same records however it is cut. Before a size is tried,
its peak is foretold from the two before (what a pass takes grows with its records); what would not fit is not tried.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from graftwork.core.spec import parse, plain
from graftwork.data.batches import evenly
from graftwork.training.loop import train
from graftwork.training.spec import TrainSpec

if TYPE_CHECKING:
    from graftwork.training.job import TrainJob

SHARE = 0.8
"""Of the memory there is, what a training may take: it grows a little over its steps, and others live here too."""


def sizes_for(records_per_step: int) -> list[int]:
    """The sizes that a step can be cut into evenly.

    >>> sizes_for(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [size for size in range(1, records_per_step + 1) if records_per_step % size == 0]


def largest_fitting(sizes: Sequence[int], peak_of: Callable[[int], int | None], limit_bytes: int) -> dict[int, int]:
    """Try sizes, the smallest first, as long as they fit.

    Args:
        peak_of: bytes that a step of so many records takes at its peak; None if it could not be done.

    Returns:
        The peaks of the sizes that fit; the last one is the largest. Empty if none does.

    >>> largest_fitting([1, 2, 4, 8], lambda size: 100 + 10 * size, 150)
    {1: 110, 2: 120, 4: 140}
    """
    peaks: dict[int, int] = {}
    for size in sizes:
        if foretold(peaks, size) > limit_bytes:
            break
        peak = peak_of(size)
        if peak is None or peak > limit_bytes:
            break
        peaks[size] = peak
    return peaks


def foretold(peaks: dict[int, int], size: int) -> float:
    """The peak at `size`, on the line through the last two; the last one itself when there is no line yet."""
    if len(peaks) < 2:
        return max(peaks.values(), default=0)
    (small, low), (large, high) = list(peaks.items())[-2:]
    return high + (high - low) / (large - small) * (size - large)


def peak_of_step(job: TrainJob, size: int) -> int:
    """Bytes at the peak so far, after one step of the `size` longest records of `job`, whose adapter it changes."""
    longest = sorted(range(len(job.records)), key=lambda i: job.lengths[i], reverse=True)
    records = [job.records[longest[i % len(longest)]] for i in range(size)]
    spec = parse(TrainSpec, {**plain(job.spec), "batch_size": size, "accumulation": 1, "conflicts": "off"})
    one_step = replace(
        job,
        spec=spec,
        num_steps=1,
        records=records,
        lengths=[len(record.tokens_T) for record in records],
        mixture=evenly(size),
    )
    for _ in train(one_step, time.monotonic):
        pass
    if job.bank.base.device.type == "cuda":
        return torch.cuda.max_memory_reserved(job.bank.base.device) + _held_apart_bytes(job)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _held_apart_bytes(job)


def _held_apart_bytes(job: TrainJob) -> int:
    """Gradients of a step's tasks, which the step that is measured does not keep apart."""
    if job.spec.conflicts == "off":
        return 0
    return sum(size > 0 for size in job.mixture.sizes) * sum(leaf.nbytes for leaf in job.params.values())
