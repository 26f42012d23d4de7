"""Accuracy: how good the answers to held-out records are.

Each record is asked twice: once to be answered freely, which the text metrics score, once for the likelihood of the
expected answer (and of all others, where the data has a small closed set of them), which the weighed metrics score. A
metric that says nothing about a record, such as word for word of a long answer, has no number of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal

from pydantic import Field

import graftwork.evaluation.metrics  # noqa: F401  fills the catalogs
from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import Spec
from graftwork.data.records import Record
from graftwork.data.script import script_of
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given
from graftwork.evaluation.draw import Drawn, draw, named, why_not_asked
from graftwork.evaluation.item import Item, Question, Reply, Score, Scorer
from graftwork.evaluation.labels import labels_by_source
from graftwork.evaluation.metrics.metric import TEXT_METRICS, WEIGHED_METRICS, Weighed


class AccuracySpec(Spec):
    """How the answers are scored."""

    kind: Literal["accuracy"] = "accuracy"
    """How good the answers to held-out records are."""

    items: int = Field(default=200, ge=2, le=1_000_000)
    """Held-out records that are asked, drawn by the seed; at most all of them. 200 to 1000 are usual; a share of right
    answers is known to about 7 % with 200 and 3 % with 1000."""

    labels: tuple[str, ...] = Field(default=(), max_length=1000)
    """All possible answers, where there is a closed set of them. Empty: found in the data, if short answers come again
    and again."""

    final_after: str = ""
    """What stands before the final answer, such as ####; word for word and f1 then look at what follows the last one of
    it. Empty: the whole answer is the final one."""


def items(spec: AccuracySpec, given: Given) -> Iterator[Item]:
    """One item for each drawn record that can be asked; of plain texts the likelihood alone.

    Raises:
        SpecError: no record has one of the labels, or the mark of a final answer.
    """
    refuse_unmet(spec.labels, spec.final_after, given)
    sets = {} if spec.labels else labels_by_source(chain(given.held_out, given.train))
    candidates = [one for one in named(given.held_out) if one.record.is_text or not why_not_asked(one.record)]
    for one in draw(candidates, spec.items, seed=given.seed):
        labels = spec.labels or sets.get(one.record.source, ())
        yield _text_item(one) if one.record.is_text else _item(one, labels, spec, given)


def notes(spec: AccuracySpec, given: Given) -> tuple[str, ...]:
    """What cannot be asked, counted by reason, and how many of the others were drawn."""
    reasons = Counter(why_not_asked(record) for record in given.held_out if not record.is_text)
    askable = reasons.pop("", 0) + sum(record.is_text for record in given.held_out)
    told = [f"{count} held-out records are left out: {reason}." for reason, count in sorted(reasons.items())]
    return (*told, *([f"{spec.items} of {askable} held-out records were drawn."] if spec.items < askable else []))


def refuse_unmet(labels: Sequence[str], mark: str, given: Given) -> None:
    """Raise SpecError if labels or a mark were named that no held-out record has."""
    answers = [record.answer for record in given.held_out if not why_not_asked(record)]
    problems = []
    if labels and answers and not {answer.strip() for answer in answers} & set(labels):
        problems.append(Problem("labels", labels, "answers of the held-out records; none of these is one"))
    if mark and answers and not any(mark in answer for answer in answers):
        problems.append(Problem("final_after", mark, "what stands in answers of the held-out records"))
    if problems:
        raise SpecError(problems)


def _item(one: Drawn, labels: Sequence[str], spec: AccuracySpec, given: Given) -> Item:
    record = one.record
    options, right = options_of(record.answer, labels)
    prompt = tuple(record.prompt)
    return Item(
        id=one.id,
        group=one.group,
        origin=str(record.origin),
        questions=(
            Question(prompt=prompt, max_new_tokens=given.max_new_tokens),
            Question(prompt=prompt, options=options),
        ),
        score=_scorer(record.answer, options, right, spec.final_after),
        slices=slices_of(record, labels),
        expected=record.answer,
    )


def _text_item(one: Drawn) -> Item:
    record = one.record
    return Item(
        id=one.id,
        group=one.group,
        origin=str(record.origin),
        questions=(Question(prompt=(), options=(record.answer,), is_text=True),),
        score=lambda replies: weighed_scores(replies[0], (record.answer,), 0),
        slices=slices_of(record, ()),
        expected="",
    )


def options_of(answer: str, labels: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """What is weighed, and which of it is right: the labels if the answer is one of them, else the answer alone."""
    return (tuple(labels), list(labels).index(answer.strip())) if answer.strip() in labels else ((answer,), 0)


def slices_of(record: Record, labels: Sequence[str]) -> Mapping[str, str]:
    """What a record is told apart by."""
    told = {"script": script_of(f"{record.question} {record.answer}"), "source": record.origin.file}
    return {**told, "label": record.answer.strip()} if record.answer.strip() in labels else told


def final(text: str, mark: str) -> str:
    """What follows the last `mark`; the whole where there is none.

    >>> final("2 + 2 = 4 #### 4", "####"), final("4", "####")
    ('4', '4')
    """
    return text.rpartition(mark)[2].strip() if mark and mark in text else text


def _scorer(expected: str, options: tuple[str, ...], right: int, mark: str) -> Scorer:
    def score(replies: Sequence[Reply]) -> Mapping[str, Score]:
        free, weighed = replies
        return {**text_scores(free.said, expected, mark), **weighed_scores(weighed, options, right)}

    return score


def text_scores(said: str, expected: str, mark: str = "") -> dict[str, Score]:
    """The scores of all text metrics that apply to the expected answer."""
    told = {}
    for name in TEXT_METRICS:
        metric = TEXT_METRICS[name]
        ours, theirs = (final(said, mark), final(expected, mark)) if metric.is_of_final else (said, expected)
        if metric.applies(theirs):
            told[name] = metric.score(ours, theirs)
    return told


def weighed_scores(reply: Reply, options: tuple[str, ...], right: int) -> dict[str, Score]:
    """The scores of all weighed metrics that apply to so many options; none for a reply that weighs nothing."""
    if len(reply.nats) != len(options):
        return {}
    weighed = Weighed(options=options, right=right, nats=reply.nats, tokens=reply.tokens)
    metrics = {name: WEIGHED_METRICS[name] for name in WEIGHED_METRICS}
    return {name: one.score(weighed) for name, one in metrics.items() if len(options) > 1 or not one.needs_choice}


METRICS = (
    *(TEXT_METRICS[name].metric for name in TEXT_METRICS),
    *(WEIGHED_METRICS[name].metric for name in WEIGHED_METRICS),
)

DIMENSIONS.add(
    "accuracy",
    Dimension(
        name="accuracy",
        about="How good the answers to held-out records are.",
        metrics=METRICS,
        spec=AccuracySpec,
        items=items,
        notes=notes,
    ),
)
