"""Which records each optimizer step sees: a pure function of seed and step, so a resumed run sees the same. Pure."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate


@dataclass(frozen=True)
class Mixture:
    """Records of several sources, each seen so often in an epoch.

    Attributes:
        sizes: records of each source; those of a source stand together, in the order of the sources.
        weights: how often a record of each source is seen in an epoch: 1 is once, 0.5 in every other epoch, 2 twice.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def per_epoch(self) -> tuple[int, ...]:
        """Records of each source in an epoch; at least one."""
        pairs = zip(self.sizes, self.weights, strict=True)
        return tuple(max(1, round(size * weight)) if size else 0 for size, weight in pairs)

    @property
    def epoch_size(self) -> int:
        """Records in an epoch."""
        return sum(self.per_epoch)

    def source_of(self, index: int) -> int:
        """Number of the source that a record is of.

        >>> [Mixture((2, 0, 1), (1.0, 1.0, 1.0)).source_of(index) for index in range(3)]
        [0, 0, 2]
        """
        return bisect_right(list(accumulate(self.sizes)), index)


def evenly(num_records: int) -> Mixture:
    """One source, each record once in an epoch."""
    return Mixture((num_records,), (1.0,))


def step_indices(step: int, *, mixture: Mixture, per_step: int, seed: int) -> list[int]:
    """Records of optimizer step `step`, counted from 0, drawn without repetition within each pass over a source.

    Epochs follow each other without a gap: a step may take the end of one and the start of the next.

    >>> [step_indices(step, mixture=evenly(3), per_step=2, seed=0) for step in (0, 1)]
    [[1, 0], [2, 1]]
    """
    size = mixture.epoch_size
    return [_epoch(i // size, mixture, seed)[i % size] for i in range(step * per_step, (step + 1) * per_step)]


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
def _epoch(epoch: int, mixture: Mixture, seed: int) -> tuple[int, ...]:
    """An epoch's records in order: of each source the next ones of its endless passes, then all shuffled."""
    chosen: list[int] = []
    begin = 0
    for source, (size, take) in enumerate(zip(mixture.sizes, mixture.per_epoch, strict=True)):
        drawn = range(epoch * take, (epoch + 1) * take)
        chosen += (
            [begin + _pass(i // size, source, size, seed)[i % size] for i in drawn]
            if take != size
            else range(begin, begin + size)
        )
        begin += size
    random.Random(f"{seed}:{epoch}").shuffle(chosen)
    return tuple(chosen)


@lru_cache(maxsize=8)
def _pass(number: int, source: int, size: int, seed: int) -> tuple[int, ...]:
    """The order in which pass `number` over a source sees its records."""
    order = list(range(size))
    random.Random(f"{seed}:{source}:{number}").shuffle(order)
    return tuple(order)
