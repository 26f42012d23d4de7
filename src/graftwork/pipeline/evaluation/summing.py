"""From scored dimensions to the result of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graftwork.evaluation.summary import Scored as Summed
from graftwork.evaluation.summary import summarised

if TYPE_CHECKING:
    from graftwork.evaluation.item import Item, Question, Reply
    from graftwork.evaluation.result import DimensionResult, EvaluationResult, Subject
    from graftwork.pipeline.evaluation.dimensions import Scored

FEWEST = 2
"""Items that show a spread; a dimension with fewer says so and gives no number."""


def summed_up(
    subjects: Sequence[Subject],
    scored: Sequence[Scored],
    measured: Sequence[DimensionResult],
    *,
    margins: Mapping[str, float],
    notes: Sequence[str],
) -> EvaluationResult:
    """The result: dimensions that were asked, then those that were measured.

    Args:
        margins: as a recipe has them.
        notes: what was left out before anybody was asked.
    """
    return summarised(subjects, [_summed(one) for one in scored], margins=margins, more=measured, notes=notes)


def _summed(scored: Scored) -> Summed:
    enough = len(scored.items) >= FEWEST
    return Summed(
        name=scored.dimension.name,
        about=scored.dimension.about,
        metrics=scored.dimension.metrics,
        items=scored.items if enough else (),
        scores=scored.scores if enough else {subject: {} for subject in scored.scores},
        said={subject: _said(scored.items, own) for subject, own in scored.replies.items()},
        notes=_notes(scored),
    )


def _said(items: Sequence[Item], replies: Mapping[str, Sequence[Reply]]) -> dict[str, str]:
    return {item.id: said(item.questions[0], replies[item.id][0]) for item in items}


def said(question: Question, reply: Reply) -> str:
    """What a subject answered, for people; of several options weighed the most likely one, byte by byte."""
    if not question.options:
        return reply.said
    if len(question.options) == 1:
        return ""
    sizes = (max(1, len(option.encode("utf-8"))) for option in question.options)
    weights = [nats / size for nats, size in zip(reply.nats, sizes, strict=True)]
    return question.options[weights.index(min(weights))]


def _notes(scored: Scored) -> list[str]:
    told = [*scored.notes]
    told += [f"{num} items were not asked: {reason}." for reason, num in scored.left_out.items()]
    if len(scored.items) < FEWEST:
        num = len(scored.items)
        told.append(f"{num} item{'' if num == 1 else 's'}: too few for a number. Hold out more records, or other ones.")
    return told
