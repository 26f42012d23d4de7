"""Leakage: training records that give away held-out ones; the held-out ones stay."""

from collections.abc import Iterator

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.likeness import OWN_CHARACTERS, are_alike, compared, likeness
from graftwork.data.quality.traits import NONE
from graftwork.data.quality.whole import WHOLE_CHECKS, Finding, Whole, WholeCheck, WholeQuarantined, groups_among

MOST_COMPARED = 64
"""Held-out records of a group that a training record is compared with."""


class LeakageSpec(Spec):
    """When a training record gives away a held-out one. Only with a file of held-out records."""

    threshold: float = Field(default=0.8, ge=0.7, le=1)
    """Least likeness to a held-out record, measured as for near duplicates. 0.7 to 0.8 are usual."""

    question_characters: int = Field(default=20, ge=1)
    """Shortest question that may not occur on both sides; a Chinese character counts as 2. Below 10 greetings count."""


def find(spec: LeakageSpec, whole: Whole) -> Iterator[Finding]:
    """Every training record that equals, resembles or asks the same as a held-out one."""
    if not whole.is_held_N.any():
        return
    told: set[int] = set()
    found = (*_equal(whole), *_same_question(spec, whole), *_other_label(whole), *_resembling(spec, whole))
    for finding in found:
        if finding[0] not in told:
            told.add(finding[0])
            yield finding


def _equal(whole: Whole) -> Iterator[Finding]:
    for index, like in _shared(whole.first_N, whole):
        yield index, WholeQuarantined("leakage", "the same as {like}, which is held out", like)


def _same_question(spec: LeakageSpec, whole: Whole) -> Iterator[Finding]:
    for index, like in _shared(whole.traits.question_N, whole, but=NONE):
        least = spec.question_characters
        detail = (
            f"the same question as {{like}}, which is held out; of {least} characters or more (question_characters)"
        )
        yield index, WholeQuarantined("leakage", detail, like)


def _other_label(whole: Whole) -> Iterator[Finding]:
    """A held-out question, however short, that a training record answers with a label."""
    import numpy as np

    asked_N = np.where(whole.traits.is_label_N, whole.traits.input_N, NONE)
    for index, like in _shared(asked_N, whole, but=NONE):
        yield index, WholeQuarantined("leakage", "labels the question of {like}, which is held out", like)


def _shared(named_N, whole: Whole, *, but: int | None = None) -> Iterator[tuple[int, int]]:  # type: ignore[no-untyped-def]
    """Each open record that has a name in common with held-out ones, and the first of those."""
    import numpy as np

    held = np.flatnonzero(whole.is_held_N)
    names, at = np.unique(named_N[held], return_index=True)
    for index in np.flatnonzero(whole.open_N & np.isin(named_N, names)).tolist():
        if but is None or named_N[index] != but:
            yield index, int(held[at[np.searchsorted(names, named_N[index])]])


def _resembling(spec: LeakageSpec, whole: Whole) -> Iterator[Finding]:
    for members in groups_among(whole, whole.open_N | whole.is_held_N):
        held = [i for i in members if whole.is_held_N[i]][:MOST_COMPARED]
        training = [i for i in members if whole.open_N[i]]
        if held and training:
            yield from _resembling_in(spec, whole, held, training)


def _resembling_in(spec: LeakageSpec, whole: Whole, held: list[int], training: list[int]) -> Iterator[Finding]:
    others = [(like, compared(whole.text_of(like))) for like in held]
    for index in training:
        one = compared(whole.text_of(index))
        for like, other in others:
            if are_alike(one, other, threshold=spec.threshold, own_characters=OWN_CHARACTERS):
                found = likeness(one, other)
                detail = f"{found:.2f} like {{like}}, which is held out; up to {spec.threshold:g} is kept (threshold)"
                yield index, WholeQuarantined("leakage", detail, like)
                break


WHOLE_CHECKS.add(
    "leakage",
    WholeCheck(
        name="leakage",
        place=10,
        about="Sets aside training records that equal or resemble a held-out one, or ask the same question.",
        spec=LeakageSpec,
        default=LeakageSpec(),
        find=find,
    ),
)
