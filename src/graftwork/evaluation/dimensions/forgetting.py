"""Forgetting: what a subject still knows that the training had nothing to do with, to stand beside every gain.

Asked are everyday facts, English and Chinese, that ship with graftwork, or the records that a recipe names as
`evaluation.general`. The answers are weighed, so that a base that answers in its own words loses nothing by it; short
answers of a recipe's own records are also asked for.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.records import Record
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given, Metric
from graftwork.evaluation.item import Item, Question, Reply, Score
from graftwork.evaluation.metrics.bits import bits
from graftwork.evaluation.metrics.choice import chosen
from graftwork.evaluation.metrics.exact_loose import exact_loose
from graftwork.evaluation.metrics.metric import Weighed, is_short

FACTS = "graftwork, its own everyday facts"


class ForgettingSpec(Spec):
    """How it is told what a training made the base forget."""

    kind: Literal["forgetting"] = "forgetting"
    """What a subject still knows that the training had nothing to do with."""

    items: int = Field(default=200, ge=2)
    """At most so many questions. Those shipped are 100."""


METRICS = (
    Metric(
        name="choice",
        unit="share of questions",
        better="more",
        about="Questions whose right answer is the most likely of those given, by its likelihood per byte.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="exact",
        unit="share of answers",
        better="more",
        about="Short answers of the recipe's own general records that are right but for case, width and punctuation.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="bits_per_byte",
        unit="bits per byte",
        better="less",
        about="Bits of surprise per byte of the right answers. Whoever learned to be brief is less surprised by brief "
        "answers, whatever they say, so no verdict follows from it.",
    ),
)


def _items(spec: ForgettingSpec, given: Given) -> Iterable[Item]:
    if given.general is None:
        return [_of_fact(number, fact) for number, fact in enumerate(_facts()[: spec.items])]
    asked = [record for record in given.general if record.prompt and not record.tools]
    return [_of_record(record, given.max_new_tokens) for record in _each_once(asked)[: spec.items]]


def _facts() -> list[Mapping[str, object]]:
    """The shipped ones, languages by turns, so that a part of them has both."""
    text = (files("graftwork.evaluation") / "general" / "facts.jsonl").read_text("utf-8")
    facts = [json.loads(line) for line in text.splitlines()]
    languages = [[fact for fact in facts if fact["language"] == language] for language in ("en", "zh")]
    return [fact for pair in zip(*languages, strict=True) for fact in pair]


def _of_fact(number: int, fact: Mapping[str, object]) -> Item:
    asked, options = str(fact["question"]), tuple(map(str, fact["options"]))  # type: ignore[call-overload]
    return Item(
        id=f"fact-{number}",
        group=f"fact-{number}",
        origin=FACTS,
        questions=(Question(prompt=({"role": "user", "content": asked},), options=options),),
        score=_score(options),
        slices={"language": str(fact["language"])},
        expected=options[0],
    )


def _of_record(record: Record, max_new_tokens: int) -> Item:
    weighed = Question(prompt=record.prompt, options=(record.answer,))
    free = Question(prompt=record.prompt, max_new_tokens=max_new_tokens)
    return Item(
        id=record.digest[:16],
        group=record.group or record.digest[:16],
        origin=str(record.origin),
        questions=(weighed, free) if is_short(record.answer) else (weighed,),
        score=_score((record.answer,)),
        expected=record.answer,
    )


def _score(options: Sequence[str]) -> Callable[[Sequence[Reply]], Mapping[str, Score]]:
    """Of the weighed answers, the right one first, and of what was said, if it was asked."""

    def score(replies: Sequence[Reply]) -> Mapping[str, Score]:
        weighed = Weighed(options=options, right=0, nats=replies[0].nats, tokens=replies[0].tokens)
        told = {"bits_per_byte": bits(weighed)}
        if len(options) > 1:
            told["choice"] = chosen(weighed, [len(option.encode("utf-8")) for option in options])
        if len(replies) > 1:
            told["exact"] = exact_loose(replies[1].said, options[0])
        return told

    return score


def _each_once(records: Iterable[Record]) -> list[Record]:
    return list({record.digest: record for record in records}.values())


DIMENSIONS.add(
    "forgetting",
    Dimension(
        name="forgetting",
        about="What a subject still knows that the training had nothing to do with.",
        metrics=METRICS,
        spec=ForgettingSpec,
        items=_items,
    ),
)
