"""How many processes train together, and what of the base each holds. No part of a recipe: the result is the same.

It is, bit for bit, that of one process with as many threads as each has: how a processor adds up within a product may
depend on their number.
"""

import os
from dataclasses import dataclass

from graftwork.core.errors import Problem, SpecError
from graftwork.pipeline.seats import Seat, seat_from
from graftwork.pipeline.spec import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """Processes that train together.

    Attributes:
        processes: how many of this machine to start; 1 when a launcher starts them.
        shards_base: whether each holds only a part of the base's layers, so that a base larger than one device fits.
    """

    processes: int = 1
    shards_base: bool = False


ONE = Parallel()
"""One process with the whole base."""


def seat_here() -> Seat | None:
    """The seat that a launcher gave to this process. Raises as `seat_from`."""
    return seat_from(os.environ)


def refuse_unfit(spec: RunSpec, parallel: Parallel, seat: Seat | None) -> None:
    """Raise SpecError with all that a request and its processes contradict each other in."""
    size = parallel.processes if seat is None else seat.size
    problems = []
    if parallel.processes < 1:
        problems.append(Problem("--processes", parallel.processes, "1 or more"))
    if seat is not None and parallel.processes > 1:
        hint = f"A launcher started {seat.size} already; leave --processes out."
        problems.append(Problem("--processes", parallel.processes, "nothing", hint))
    if parallel.shards_base and size == 1:
        hint = "Give --processes 2, or start it with torchrun."
        problems.append(Problem("--shard-base", True, "more than one process", hint))
    if parallel.shards_base and spec.quantised != "off":
        hint = "Codes of 8 or 4 bits cannot be spread; leave --shard-base out."
        problems.append(Problem("quantised", spec.quantised, "off with --shard-base", hint))
    if parallel.shards_base and spec.evaluation.dimensions:
        hint = "Each process holds a part of the base; `graftwork evaluate` asks the finished adapter in one process."
        num = len(spec.evaluation.dimensions)
        problems.append(Problem("evaluation.dimensions", num, "none with --shard-base", hint))
    if size > 1 and spec.is_full:
        hint = "Full tuning is done by one process."
        problems.append(
            Problem("adapter.method", "full", "a method that trains an adapter, with several processes", hint)
        )
    if problems:
        raise SpecError(problems)
