"""The certificate: refused by name where anything forbids it, else a document with a digest of itself. Pure.

A document holds what was equal, what each subject is, the verdicts of every dimension and of all, and the digest of the
result that they follow from. `checked` finds any change, and derives the verdicts again from the result's numbers.

Signing is left to who keeps keys: `signable` gives the bytes to sign, and `signatures` is not among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from graftwork.core.digests import canonical_json, digest
from graftwork.core.errors import ConflictError, IntegrityError, Problem
from graftwork.evaluation.certificate import manifest as manifests
from graftwork.evaluation.certificate.conditions import OF_ALL, OF_TRAINED, differences, unknowns
from graftwork.evaluation.certificate.manifest import Manifest
from graftwork.evaluation.result import EvaluationResult, told
from graftwork.evaluation.verdicts import judged, overall

FORMAT = 1
SHOWN = 5
"""Overlapping items that are named; the others are counted."""


def refusals(
    result: EvaluationResult,
    told_manifests: Sequence[Manifest],
    *,
    overlaps: Mapping[str, Sequence[str]],
    unseen: Sequence[str] = (),
    claimed: Sequence[str] = (),
) -> tuple[Problem, ...]:
    """Everything that forbids a certificate; nothing if it may be given.

    Args:
        overlaps: by dimension the items that were trained on.
        unseen: subjects whose training records are not here, so that their overlap cannot be told.
        claimed: "dimension.metric" or "metric" that must have a number, such as those with a margin of their own.
    """
    named = {one.subject for one in told_manifests}
    return (
        *(
            Problem(f"manifest.{subject.name}", None, "a manifest of every subject")
            for subject in result.subjects
            if subject.name not in named
        ),
        *unknowns(told_manifests),
        *differences(told_manifests),
        *map(_of_unseen, unseen),
        *(_of_overlap(name, items) for name, items in overlaps.items() if items),
        *_of_nothing(result, claimed),
    )


def certificate(
    result: EvaluationResult,
    told_manifests: Sequence[Manifest],
    *,
    overlaps: Mapping[str, Sequence[str]],
    unseen: Sequence[str] = (),
    claimed: Sequence[str] = (),
) -> dict[str, Any]:
    """The document.

    Raises:
        ConflictError: what `refusals` tells, all of it.
    """
    if problems := refusals(result, told_manifests, overlaps=overlaps, unseen=unseen, claimed=claimed):
        raise ConflictError("No certificate:\n" + "\n".join(map(str, problems)))
    content = {
        "format": FORMAT,
        "kind": "graftwork evaluation certificate",
        "subjects": [manifests.told(one) for one in told_manifests],
        "held_equal": {"all": list(OF_ALL), "trained": list(OF_TRAINED)},
        "verdicts": [asdict(one) for one in result.verdicts],
        "dimensions": {one.name: [asdict(verdict) for verdict in one.verdicts] for one in result.dimensions},
        "result": digest(told(result)),
    }
    return {**content, "digest": digest(content), "signatures": []}


def signable(document: Mapping[str, Any]) -> bytes:
    """The bytes that a signature is of: all but the signatures."""
    return canonical_json({key: value for key, value in document.items() if key != "signatures"})


def checked(document: Mapping[str, Any], result: EvaluationResult) -> None:
    """See that document and result are as they were written, belong together, and say what the numbers say.

    Raises:
        IntegrityError: they are not, with all reasons.
    """
    content = {key: value for key, value in document.items() if key not in ("digest", "signatures")}
    reasons = []
    if document.get("digest") != digest(content):
        reasons.append("its digest is not that of its content")
    if document.get("result") != digest(told(result)):
        reasons.append("it was given for another result")
    again = judged(result.dimensions)
    if tuple(again) != tuple(result.dimensions) or overall(again) != tuple(result.verdicts):
        reasons.append("the verdicts do not follow from the numbers")
    told_verdicts = [asdict(one) for one in overall(again)]
    if document.get("verdicts") != told_verdicts:
        reasons.append("its verdicts are not those of the result")
    try:
        told_manifests = [manifests.read(one) for one in document.get("subjects", ())]
        reasons += [str(problem) for problem in (*unknowns(told_manifests), *differences(told_manifests))]
    except IntegrityError as error:
        reasons.append(str(error))
    if reasons:
        raise IntegrityError("The certificate is not valid: " + "; ".join(reasons) + ".")


def _of_overlap(dimension: str, items: Sequence[str]) -> Problem:
    shown = ", ".join(items[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
    return Problem(
        f"{dimension}.items",
        shown,
        "items that were not trained on",
        "Take them out of the training data, or of these.",
    )


def _of_unseen(subject: str) -> Problem:
    hint = "Give the folder of its run with the data in it."
    return Problem(f"{subject}.records", None, "its training records, to see that no item is among them", hint)


def _of_nothing(result: EvaluationResult, claimed: Sequence[str]) -> tuple[Problem, ...]:
    """Dimensions and metrics that say nothing, since nothing was asked."""
    empty = [
        Problem(one.name, one.num_items, "one item or more, and a number")
        for one in result.dimensions
        if not any(metric.values for metric in one.metrics)
    ]
    subjects = {subject.name for subject in result.subjects}
    for dimension in result.dimensions:
        for metric in dimension.metrics:
            having = {value.subject for value in metric.values if value.measured.num_items > 0}
            if metric.is_main and (missing := sorted(subjects - having)):
                expected = f"a number of every subject; none of {', '.join(missing)}"
                empty.append(Problem(f"{dimension.name}.{metric.name}", len(having), expected))
    there = {
        name
        for dimension in result.dimensions
        for metric in dimension.metrics
        if metric.values
        for name in (metric.name, f"{dimension.name}.{metric.name}")
    }
    return (*empty, *(Problem(name, 0, "one item or more, and a number") for name in claimed if name not in there))
