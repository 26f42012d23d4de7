"""Dimensions at work: their items asked of all subjects at once, scored, and written down item by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError, Problem, SpecError
from graftwork.core.files import write_jsonl
from graftwork.core.spec import plain
from graftwork.evaluation.dimension import DIMENSIONS, Dimension
from graftwork.pipeline.evaluation.ask import Told, ask
from graftwork.pipeline.evaluation.questions import Askable, askable
from graftwork.pipeline.evaluation.replies import FILE, ReplyLog
from graftwork.pipeline.evaluation.subjects import context_of

if TYPE_CHECKING:
    from graftwork.core.spec import Spec
    from graftwork.evaluation.dimension import Given
    from graftwork.evaluation.item import Item, Reply, Score
    from graftwork.pipeline.evaluation.batches import Room
    from graftwork.pipeline.evaluation.subjects import AtHand

FOLDER = "evaluation"
Scores = Mapping[str, "Score"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A dimension, asked and scored.

    Attributes:
        items: those that could be asked, in the dimension's order.
        scores: by subject and item.
        replies: by subject and item, in the order of its questions.
        left_out: items that could not be asked, by reason.
        notes: what the dimension itself left out of the data, in sentences.
    """

    dimension: Dimension
    spec: Spec
    items: Sequence[Item]
    scores: Mapping[str, Mapping[str, Scores]]
    replies: Mapping[str, Mapping[str, Sequence[Reply]]]
    left_out: Mapping[str, int]
    notes: Sequence[str] = ()


def asked_and_scored(
    folder: Path, subjects: Sequence[AtHand], specs: Sequence[Spec], given: Given, *, room: Room, told: Told
) -> list[Scored]:
    """All dimensions that ask, of all subjects in the same batches; `folder` gets the replies and a file each.

    Raises:
        SpecError: what a dimension was asked for cannot be had.
    """
    asked = _askable(subjects, specs, given)
    log = ReplyLog(folder / FILE)
    questions = {key: one for _, _, found in asked for key, one in found.questions.items()}
    replies = ask(subjects, questions, log, room=room, told=told) if questions else {}
    scored = [
        replace(_scored(dimension, spec, found, subjects, replies), notes=tuple(dimension.notes(spec, given)))
        for dimension, spec, found in asked
    ]
    for one in scored:
        write_jsonl(folder / f"{one.dimension.name}.jsonl", rows(one))
    return scored


def items_digest(scored: Sequence[Scored]) -> dict[str, str]:
    """Names what was asked, by dimension: ids, groups, questions and the answers expected."""
    return {one.dimension.name: digest([[_asked(item), item.expected] for item in one.items]) for one in scored}


def rows(scored: Scored) -> Iterator[dict[str, object]]:
    """A line an item and subject: what was asked, what came, what it is worth."""
    for item in scored.items:
        for subject, scores in scored.scores.items():
            yield {
                **_asked(item),
                "origin": item.origin,
                "slices": dict(item.slices),
                "expected": item.expected,
                "subject": subject,
                "replies": [_told(reply) for reply in scored.replies[subject][item.id]],
                "scores": {name: [score.total, score.weight, *score.counts] for name, score in scores[item.id].items()},
            }


def _askable(subjects: Sequence[AtHand], specs: Sequence[Spec], given: Given) -> list[tuple[Dimension, Spec, Askable]]:
    chat, context = subjects[0].side.bank.base.chat, context_of(subjects)
    found, problems = [], []
    for spec in specs:
        dimension = DIMENSIONS[kind_of(spec)]
        if dimension.is_measured:
            continue
        try:
            items = list(dimension.items(spec, given))
        except SpecError as error:
            problems += [_placed(problem, dimension.name) for problem in error.problems]
            continue
        _refuse_twice(dimension, items)
        found.append((dimension, spec, askable(items, chat, context)))
    if problems:
        raise SpecError(problems)
    return found


def kind_of(spec: Spec) -> str:
    """The name of the dimension that a request is for."""
    return str(plain(spec)["kind"])


def _placed(problem: Problem, name: str) -> Problem:
    where = f"evaluation.dimensions.{name}.{problem.path}".rstrip(".")
    return Problem(where, problem.value, problem.expected, problem.hint)


def _refuse_twice(dimension: Dimension, items: Sequence[Item]) -> None:
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise IntegrityError(f"dimension {dimension.name}: two items have the id {twice!r}. This is a bug, report it.")


def _scored(
    dimension: Dimension,
    spec: Spec,
    found: Askable,
    subjects: Sequence[AtHand],
    replies: Mapping[str, Mapping[str, Reply]],
) -> Scored:
    by_subject = {
        one.name: {item.id: [replies[one.name][key] for key in keys] for item, keys in found.items} for one in subjects
    }
    scores = {
        name: {item.id: _of_item(dimension, item, own[item.id]) for item, _ in found.items}
        for name, own in by_subject.items()
    }
    return Scored(
        dimension=dimension,
        spec=spec,
        items=[item for item, _ in found.items],
        scores=scores,
        replies=by_subject,
        left_out=found.left_out,
    )


def _of_item(dimension: Dimension, item: Item, replies: Sequence[Reply]) -> Scores:
    scores = item.score(replies)
    known = {metric.name for metric in dimension.metrics}
    if strange := sorted(scores.keys() - known):
        raise IntegrityError(f"dimension {dimension.name} scores {strange[0]!r}, which it has not declared.")
    return scores


def _asked(item: Item) -> dict[str, Any]:
    questions = [
        {
            "prompt": [dict(turn) for turn in one.prompt],
            **({"options": list(one.options)} if one.options else {"max_new_tokens": one.max_new_tokens}),
            **({"is_text": True} if one.is_text else {}),
        }
        for one in item.questions
    ]
    return {"item": item.id, "group": item.group, "questions": questions}


def _told(reply: Reply) -> dict[str, object]:
    return {"nats": list(reply.nats), "tokens": list(reply.tokens)} if reply.nats else {"said": reply.said}
