"""What is asked together: batches of a bounded number of tokens, a function of questions and subjects alone. Pure.

Neither time nor free memory has a say, so an evaluation that goes on after it was killed asks the rest in the batches
in which it would have been asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftwork.pipeline.evaluation.questions import Written


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How much fits into a forward pass.

    Attributes:
        questions: most of them, each asked of every subject.
        tokens: most, padding and answers within; one question may always be there.
    """

    questions: int
    tokens: int


def batches(questions: Iterable[Written], num_subjects: int, room: Room) -> list[list[Written]]:
    """Questions that are asked of `num_subjects` at once: those of one kind, the longest first.

    What is too large shows in the first minute, and the time left is told rather too long than too short.
    """
    ordered = sorted(questions, key=_order)
    kinds = (list(alike) for _, alike in groupby(ordered, key=_kind))
    return [batch for alike in kinds for batch in _cut(alike, num_subjects, room)]


def _kind(one: Written) -> tuple[bool, bool, int]:
    """What may be answered by one loop: all free with the same most tokens, or all weighed; what is asked alone."""
    is_alone = one.question.is_alone
    return (is_alone, False, -one.question.max_new_tokens) if not one.options else (is_alone, True, 0)


def _order(one: Written) -> tuple[bool, bool, int, int, str]:
    return (*_kind(one), -one.num_tokens, one.key)


def _cut(alike: Sequence[Written], num_subjects: int, room: Room) -> Iterable[list[Written]]:
    batch: list[Written] = []
    rows = 0
    for one in alike:
        more = max(1, len(one.options)) * num_subjects
        longest = (batch or [one])[0].num_tokens  # the longest stands first
        most = 1 if one.question.is_alone else room.questions
        if batch and (len(batch) == most or (rows + more) * longest > room.tokens):
            yield batch
            batch, rows = [], 0
        batch.append(one)
        rows += more
    if batch:
        yield batch
