"""Near duplicates: records that say nearly the same; the first is kept.

Records whose numbers differ, or whose answers are different labels, are not taken for near duplicates: a dose of 5 mg
is not one of 50 mg. They are of one group all the same, so that a split keeps them on one side.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.likeness import OWN_CHARACTERS, Compared, are_alike, compared, likeness
from graftwork.data.quality.text import is_label
from graftwork.data.quality.whole import WHOLE_CHECKS, Finding, Whole, WholeCheck, WholeQuarantined, groups_among

MOST_COMPARED = 8
"""Kept records of a group that another is compared with, so that a large group costs no more than its size."""


class NearDuplicatesSpec(Spec):
    """When two records are nearly the same, by the short pieces of text that they share."""

    threshold: float = Field(default=0.8, ge=0.7, le=1)
    """Least likeness: shared pieces over all pieces (Jaccard; 5 characters, 3 of Chinese). 0.8 to 0.9 are usual."""

    own_characters: int = Field(default=OWN_CHARACTERS, ge=1)
    """Records that each have so long a stretch that the other lacks are different; a Chinese character counts as 2."""

    numbers: Literal["same", "any"] = "same"
    """same: records whose numbers differ are never near duplicates. any: they may be."""

    keep: Literal["one", "all"] = "one"
    """one: the first of near duplicates is kept. all: all are, and only stay on one side of a split together."""


def find(spec: NearDuplicatesSpec, whole: Whole) -> Iterator[Finding]:
    """Every record that is nearly the same as an earlier one that is kept."""
    if spec.keep == "all":
        return
    for members in groups_among(whole, whole.open_N):
        yield from _find_in(spec, whole, members)


def _find_in(spec: NearDuplicatesSpec, whole: Whole, members: list[int]) -> Iterator[Finding]:
    kept: dict[object, list[tuple[int, Compared]]] = defaultdict(list)
    for index in members:
        one = compared(whole.text_of(index))
        candidates = kept[_key(spec, one)]
        for like, other in candidates:
            is_same = whole.first_N[index] == whole.first_N[like]  # kept on purpose, by the check of duplicates
            if not is_same and are_alike(one, other, threshold=spec.threshold, own_characters=spec.own_characters):
                yield index, WholeQuarantined("near_duplicates", _detail(spec, likeness(one, other)), like)
                break
        else:
            candidates.append((index, one))
            del candidates[MOST_COMPARED:]


def _key(spec: NearDuplicatesSpec, one: Compared) -> object:
    """What must be equal for two records to be near duplicates."""
    answer = one.parts.answered
    label = answer if is_label(answer) else None
    return one.parts.setting, label, one.numbers if spec.numbers == "same" else None


def _detail(spec: NearDuplicatesSpec, found: float) -> str:
    return f"{found:.2f} like {{like}}; records up to {spec.threshold:g} alike are kept (threshold)"


WHOLE_CHECKS.add(
    "near_duplicates",
    WholeCheck(
        name="near_duplicates",
        place=40,
        about="Sets aside records that say nearly the same as an earlier one.",
        spec=NearDuplicatesSpec,
        default=NearDuplicatesSpec(),
        find=find,
    ),
)
