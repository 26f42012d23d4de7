"""Which records each optimizer step sees: a pure function of seed and step, so a resumed run sees the same. Pure."""

import random
from collections.abc import Sequence
from functools import lru_cache


def step_indices(step: int, *, num_records: int, per_step: int, seed: int) -> list[int]:
    """Records of optimizer step `step`, counted from 0, drawn without repetition within each epoch.

    Epochs follow each other without a gap: a step may take the end of one and the start of the next.

    >>> (step_indices(0, num_records=3, per_step=2, seed=0) + step_indices(1, num_records=3, per_step=2, seed=0)[:1])
    [0, 2, 1]
    """
    drawn = range(step * per_step, (step + 1) * per_step)
    return [_epoch(i // num_records, num_records, seed)[i % num_records] for i in drawn]


def micro_batches(indices: Sequence[int], lengths: Sequence[int], *, size: int) -> list[list[int]]:
    """Cut a step's records into micro-batches of `size`, those of like length together, to pad less.

    Args:
        lengths: tokens of every record, by index.

    >>> micro_batches([0, 1, 2, 3], [9, 2, 8, 3], size=2)
    [[1, 3], [2, 0]]
    """
    ordered = sorted(indices, key=lambda i: lengths[i])
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


@lru_cache(maxsize=4)
def _epoch(epoch: int, num_records: int, seed: int) -> tuple[int, ...]:
    order = list(range(num_records))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return tuple(order)
