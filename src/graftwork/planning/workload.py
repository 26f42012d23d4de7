"""What the forward passes of a step hold, as the training loop lays records: numbers alone. Pure.

Records that lie in groups cost no padding; what is behind a record's last target is not computed, and a beginning that
all records of a pass have in common is computed once (`data.shared`). Records in rows of their own are padded to the
longest of their pass.

Legend: L tokens that a record needs (up to its last target), B records of a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from graftwork.base.record_pieces import pieces
from graftwork.data.batches import Mixture, evenly, micro_batches, step_indices

Layout = Literal["groups", "rows"]
WORTHWHILE = 8
"""Tokens in common from which a beginning is computed once; as `data.shared` has it."""
MOST_STEPS = 64
"""Of a training that are looked at."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Records as the planner sees them.

    Attributes:
        lengths: tokens of each; needed: of those, up to the last target.
        targets: learned tokens of each.
        shared: tokens that all begin with, before the first target.
        is_assumed: whether nobody has looked at real records.
    """

    lengths: tuple[int, ...]
    needed: tuple[int, ...]
    targets: tuple[int, ...]
    shared: int = 0
    is_assumed: bool = False

    @property
    def mean_targets(self) -> float:
        """Learned tokens of a record."""
        return sum(self.targets) / len(self.targets)


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward and backward pass.

    Attributes:
        tokens: that are computed, padding too; targets: states that predict one.
        scores: pairs of query and key that are computed, of one head.
        longest: keys that the longest record's last query sees.
    """

    tokens: int
    targets: int
    scores: int
    longest: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What a training computes.

    Attributes:
        steps: passes of some of its steps, as they would be.
        largest: the pass with the most tokens.
        num_steps: of the whole training.
        trained_targets: learned tokens over all steps.
    """

    steps: tuple[tuple[Pass, ...], ...]
    largest: Pass
    num_steps: int
    trained_targets: float


def alike(length: int, targets: int, *, shared: int = 0, num: int = 1024, is_assumed: bool = True) -> Sample:
    """Records of one length whose last tokens are learned."""
    return Sample((length,) * num, (length - 1,) * num, (targets,) * num, shared, is_assumed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """How a training goes through its records.

    Attributes:
        mixture: of the whole training set, if the sample is that; None for each record once.
    """

    batch_size: int
    accumulation: int
    number: int
    mixture: Mixture | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Laying:
    """How records lie in a pass.

    Attributes:
        heads: of queries.
        shares: whether a common beginning may be computed once.
        in_front: positions that the adapter puts in front of every record.
    """

    layout: Layout
    heads: int
    shares: bool = True
    in_front: int = 0


def workload_of(sample: Sample, steps: Steps, laying: Laying) -> Workload:
    """The passes of the first steps of a training."""
    mixture = steps.mixture or evenly(len(sample.lengths))
    per_step = steps.batch_size * steps.accumulation
    looked_at = []
    for number in range(min(steps.number, MOST_STEPS)):
        drawn = step_indices(number, mixture=mixture, per_step=per_step, seed=steps.seed)
        cut = micro_batches(drawn, sample.lengths, size=steps.batch_size)
        looked_at.append(tuple(_pass(sample, one, laying) for one in cut))
    every = [one for step in looked_at for one in step]
    targets = sum(one.targets for one in every) / len(looked_at) * steps.number
    largest = max(every, key=lambda one: (one.tokens, one.targets))
    return Workload(tuple(looked_at), largest, steps.number, targets)


def _pass(sample: Sample, indices: Sequence[int], laying: Laying) -> Pass:
    targets, in_front = sum(sample.targets[i] for i in indices), laying.in_front
    if laying.layout == "rows":
        longest = max(sample.lengths[i] for i in indices)
        seen = longest + in_front
        return Pass(len(indices) * longest, targets, len(indices) * longest * seen // 2, seen)
    needed = [sample.needed[i] for i in indices]
    shared = min(sample.shared, *(length - 1 for length in needed)) if len(needed) > 1 else 0
    if not laying.shares or shared < WORTHWHILE:
        shared = 0
    own = tuple(length - shared for length in needed)
    return Pass(shared + sum(own), targets, _scores(own, shared + in_front, laying.heads), max(needed) + in_front)


def _scores(own: tuple[int, ...], front: int, num_heads: int) -> int:
    """Of one head, as the attention of packed records cuts them into pieces."""
    if len(set(own)) == 1 and len(own) > 1:
        return _scores_of((own[0],), front, num_heads) * len(own)
    return _scores_of(own, front, num_heads)


def _scores_of(own: Iterable[int], front: int, num_heads: int) -> int:
    cut = pieces(tuple(own), shared=front, window=None, num_heads=num_heads)
    return sum(len(one.queries_RL) * len(one.queries_RL[0]) * len(one.keys_RS[0]) for one in cut)
