"""What the checks look at: a training as it would begin, with a few of its records; each thing made when it is asked
for, and once.

A few records are enough to see whether gradients flow and sums agree, and leave time for a slow machine. They are of
all lengths there are; a long one is cut around its first target.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from graftwork.data.encode import Encoded
from graftwork.data.records import Record
from graftwork.pipeline.folder import Done
from graftwork.pipeline.prepare import TRAIN
from graftwork.pipeline.work import Work, prepared_records, prepared_tokens

if TYPE_CHECKING:
    from graftwork.data.store import TokenStore
    from graftwork.pipeline.doctor.probe import Probe, Probed

PROBED, MOST_TOKENS = 4, 160
"""Records in a probe, and of each at most so many tokens."""

LOOKED_THROUGH = 256
"""Rows of which the probe's are chosen."""

READ = 32
"""Records that are read as text."""


@dataclass(frozen=True)
class Patient:
    """A training to be examined: the first of a run, or one of several, which is never begun."""

    work: Work
    checked: Done
    prepared: Done

    @cached_property
    def rows(self) -> TokenStore:
        """All training rows."""
        return prepared_tokens(self.work, "train", self.prepared.summary)

    @cached_property
    def read(self) -> tuple[Record, ...]:
        """The first training records, as text."""
        return tuple(islice(prepared_records(self.work.folder.path / TRAIN), READ))

    @cached_property
    def probe_records(self) -> tuple[Encoded, ...]:
        """A few rows of different lengths; of the first only the last target, so that none has as many as another by
        chance, and a loss that weighs records where it should weigh targets shows."""
        lengths = self.rows.lengths.tolist()[:LOOKED_THROUGH]
        first, *others = (shortened(self.rows[i], MOST_TOKENS) for i in of_all_lengths(lengths, PROBED))
        return (last_target_only(first) if others else first, *others)

    @cached_property
    def probe(self) -> Probe:
        """The training at its beginning, on those rows."""
        from graftwork.pipeline.doctor.probe import probe_of

        return probe_of(self)

    @cached_property
    def probed(self) -> Probed:
        """What was seen of its gradients, and of one step."""
        from graftwork.pipeline.doctor.probe import probed

        return probed(self.probe, time.monotonic)

    def rows_of(self, record: Record) -> Iterator[Encoded]:
        """The rows that a record became, if they are among the first."""
        return (row for row in self._first_rows if row.origin == record.origin)

    @cached_property
    def _first_rows(self) -> tuple[Encoded, ...]:
        return tuple(self.rows[i] for i in range(min(len(self.rows), LOOKED_THROUGH)))


def of_all_lengths(lengths: Sequence[int], num: int) -> list[int]:
    """Indices of `num` of them, from the shortest to the longest; all when there are not more.

    >>> of_all_lengths([9, 1, 5, 7, 3], 3)
    [1, 2, 0]
    """
    ordered = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    if num >= len(ordered):
        return ordered
    return [ordered[round(k * (len(ordered) - 1) / (num - 1))] for k in range(num)]


def last_target_only(row: Encoded) -> Encoded:
    """The same tokens, of which one is learned."""
    last = max(t for t, target in enumerate(row.is_target_T) if target)
    only = tuple(t == last for t in range(len(row.tokens_T)))
    return Encoded(row.tokens_T, only, row.origin, row.source, row.window)


def shortened(row: Encoded, most: int) -> Encoded:
    """At most so many tokens of it, the first target among them, half of what is left before it."""
    if len(row.tokens_T) <= most:
        return row
    first = next(t for t, target in enumerate(row.is_target_T) if target and t)
    begin = max(0, min(first - most // 2, len(row.tokens_T) - most))
    cut = slice(begin, begin + most)
    return Encoded(row.tokens_T[cut], row.is_target_T[cut], row.origin, row.source, row.window)
