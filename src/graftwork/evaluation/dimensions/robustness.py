"""Robustness: whether answers stay when a question is disturbed in ways that leave its meaning alone.

Each drawn record is asked as it stands and in some disturbed forms (`perturbations`), one item a form; the forms of one
record are one group. A form is scored like an answer, and beside the answer to the record as it stands.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import log
from typing import Literal

from pydantic import Field, field_validator

import graftwork.evaluation.perturbations  # noqa: F401  fills the catalog
from graftwork.core.digests import digest
from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given, Metric
from graftwork.evaluation.dimensions.accuracy import final, refuse_unmet, slices_of
from graftwork.evaluation.draw import Drawn, by_lot, named, why_not_asked
from graftwork.evaluation.item import Item, Question, Reply, Score, Scorer
from graftwork.evaluation.labels import labels_by_source
from graftwork.evaluation.metrics.chrf import chrf
from graftwork.evaluation.metrics.metric import is_short
from graftwork.evaluation.metrics.text import loose
from graftwork.evaluation.perturbations.perturbation import INSTALL, PERTURBATIONS, Asked, Perturbation, disturbed


class RobustnessSpec(Spec):
    """How questions are disturbed."""

    kind: Literal["robustness"] = "robustness"
    """Whether answers stay when questions are disturbed in ways that leave their meaning alone."""

    items: int = Field(default=60, ge=2, le=1_000_000)
    """Held-out records that are asked, drawn by the seed; at most all that can be disturbed. 50 to 500 are usual."""

    per_item: int = Field(default=4, ge=1, le=100)
    """Disturbed forms of each record, of different kinds drawn by the seed, at most all that apply to it. Each costs
    two questions, one to be answered and one to be weighed."""

    disturbances: tuple[str, ...] = Field(default=(), max_length=100)
    """Kinds to draw from, by name. Empty: all."""

    labels: tuple[str, ...] = Field(default=(), max_length=1000)
    """All possible answers, where there is a closed set of them; none is touched. Empty: found in the data."""

    final_after: str = ""
    """What stands before the final answer, such as ####; answers are compared by what follows the last one of it."""

    @field_validator("disturbances")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = ", ".join(PERTURBATIONS)
        problems = [
            Problem("", name, f"one of {known}", did_you_mean(name, PERTURBATIONS))
            for name in names
            if name not in PERTURBATIONS
        ]
        if problems:
            raise SpecError(problems)
        return names


def items(spec: RobustnessSpec, given: Given) -> Iterator[Item]:
    """An item for each form of each drawn record.

    Raises:
        SpecError: no record has one of the labels, or the mark of a final answer, or a package is not installed.
    """
    refuse_unmet(spec.labels, spec.final_after, given)
    for one, asked, forms in _drawn(spec, given):
        for kind, after in _some(forms, spec.per_item, [given.seed, one.id]):
            yield _item(one, PERTURBATIONS[kind], asked, after, spec.final_after, given.max_new_tokens)


def notes(spec: RobustnessSpec, given: Given) -> tuple[str, ...]:
    """How many records no disturbance of those asked for applies to, and which kinds apply to none."""
    askable = [record for record in given.held_out if not why_not_asked(record)]
    drawn = _drawn(spec, given)
    unmet = sorted(set(_kinds(spec)) - {kind for _, _, forms in drawn for kind in forms})
    told = _not_at_hand(spec)
    if unmet:
        told.append(f"No record can be disturbed by: {', '.join(unmet)}.")
    if len(askable) < len(given.held_out):
        told.append(f"{len(given.held_out) - len(askable)} held-out records cannot be asked and are left out.")
    if len(drawn) < min(spec.items, len(askable)):
        told.append(f"{len(drawn)} records can be disturbed, fewer than the {spec.items} asked for.")
    return tuple(told)


def _kinds(spec: RobustnessSpec) -> Sequence[str]:
    """Kinds to draw from.

    Raises:
        SpecError: one was asked for by name, and what it needs is not installed.
    """
    lacking = [name for name in spec.disturbances if not PERTURBATIONS[name].is_at_hand]
    if lacking:
        raise SpecError(
            Problem("disturbances", name, f"{PERTURBATIONS[name].needs} to be installed", INSTALL) for name in lacking
        )
    return spec.disturbances or [name for name in PERTURBATIONS if PERTURBATIONS[name].is_at_hand]


def _not_at_hand(spec: RobustnessSpec) -> list[str]:
    lacking = [one for one in map(PERTURBATIONS.__getitem__, PERTURBATIONS) if not one.is_at_hand]
    said = ", ".join(f"{one.name} (needs {one.needs})" for one in lacking)
    return [f"Left out, for a package is not installed: {said}. {INSTALL}"] if said and not spec.disturbances else []


def _drawn(spec: RobustnessSpec, given: Given) -> list[tuple[Drawn, Asked, Mapping[str, Asked]]]:
    """The records that are asked, with all their forms by kind; a record without a form makes room for another."""
    sets = {} if spec.labels else labels_by_source(chain(given.held_out, given.train))
    candidates = [one for one in named(given.held_out) if not why_not_asked(one.record)]
    told: list[tuple[Drawn, Asked, Mapping[str, Asked]]] = []
    for one in by_lot(candidates, seed=given.seed):
        if len(told) == spec.items:
            break
        record = one.record
        labels = tuple(spec.labels) or sets.get(record.source, ())
        asked = Asked(prompt=tuple(record.prompt), expected=record.answer, labels=labels)
        made = {kind: disturbed(PERTURBATIONS[kind], asked, seed=given.seed, item=one.id) for kind in _kinds(spec)}
        if forms := {kind: form for kind, form in made.items() if form is not None}:
            told.append((one, asked, forms))
    return sorted(told, key=lambda each: each[0].place)


def _some(forms: Mapping[str, Asked], count: int, key: list[object]) -> list[tuple[str, Asked]]:
    return sorted(sorted(forms.items(), key=lambda form: digest([*key, form[0]]))[:count], key=lambda form: form[0])


def _item(one: Drawn, kind: Perturbation, before: Asked, after: Asked, mark: str, max_new_tokens: int) -> Item:
    return Item(
        id=f"{one.id}/{kind.name}",
        group=one.group,
        origin=str(one.record.origin),
        questions=(
            Question(prompt=before.prompt, max_new_tokens=max_new_tokens),
            Question(prompt=after.prompt, max_new_tokens=max_new_tokens),
            Question(prompt=before.prompt, options=(before.expected,)),
            Question(prompt=after.prompt, options=(after.expected,)),
        ),
        score=_scorer(kind, before, after, mark),
        slices={"disturbance": kind.name, "severity": kind.severity, **_slices(one, before)},
        expected=after.expected,
    )


def _slices(one: Drawn, asked: Asked) -> Mapping[str, str]:
    return {name: value for name, value in slices_of(one.record, asked.labels).items() if name != "label"}


def _scorer(kind: Perturbation, before: Asked, after: Asked, mark: str) -> Scorer:
    def plain(text: str) -> str:
        return loose(kind.fold(final(text, mark)))

    def score(replies: Sequence[Reply]) -> Mapping[str, Score]:
        said, said_after, weight, weight_after = replies
        told = {"similarity": Score(_similarity(kind.fold(after.moved(said.said)), kind.fold(said_after.said)))}
        if is_short(final(before.expected, mark)):
            was_right = plain(said.said) == plain(before.expected)
            is_right = plain(said_after.said) == plain(after.expected)
            stayed = plain(after.moved(said.said)) == plain(said_after.said)
            told |= {
                "accuracy": Score(float(is_right)),
                "drop": Score(float(was_right) - float(is_right)),
                "flips": Score(float(not stayed)),
            }
        return told | _weighed(weight, weight_after, after.expected)

    return score


def _similarity(before: str, after: str) -> float:
    """chrF of an answer beside the one to the question as it stands."""
    return 1.0 if before.split() == after.split() else chrf(after, before).total


def _weighed(before: Reply, after: Reply, expected: str) -> dict[str, Score]:
    if not (len(before.nats) == len(after.nats) == 1):
        return {}
    size = float(len(expected.encode("utf-8")))
    return {
        "bits_per_byte": Score(after.nats[0] / log(2), size),
        "bits_rise": Score((after.nats[0] - before.nats[0]) / log(2), size),
    }


METRICS = (
    Metric(
        name="accuracy",
        unit="share of answers",
        better="more",
        about="Right answers to disturbed questions; of short answers, whatever their case, width and punctuation.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="drop",
        unit="share of answers",
        better="less",
        about="Right answers that are lost by disturbing the questions, less those that are won.",
    ),
    Metric(
        name="flips",
        unit="share of answers",
        better="less",
        about="Short answers, right or wrong, that are others once the question is disturbed.",
        is_share=True,
    ),
    Metric(
        name="similarity",
        unit="share of character runs",
        better="more",
        about="What answers share with those to the questions as they stand, answer by answer (chrF).",
        is_within_one=True,
    ),
    Metric(
        name="bits_per_byte",
        unit="bits per byte",
        better="less",
        about="Bits of surprise per byte of the expected answer after the disturbed question.",
        is_main=True,
    ),
    Metric(
        name="bits_rise",
        unit="bits per byte",
        better="less",
        about="What disturbing the question adds to those bits.",
    ),
)

DIMENSIONS.add(
    "robustness",
    Dimension(
        name="robustness",
        about="Whether answers stay when questions are disturbed in ways that leave their meaning alone.",
        metrics=METRICS,
        spec=RobustnessSpec,
        items=items,
        notes=notes,
    ),
)
