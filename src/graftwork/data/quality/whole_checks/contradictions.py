"""Contradictions: the same question with different labels for an answer."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.traits import NONE
from graftwork.data.quality.whole import WHOLE_CHECKS, Finding, Whole, WholeCheck, WholeQuarantined, runs_of_equal


class ContradictionsSpec(Spec):
    """When two answers to one question contradict each other."""

    max_characters: int = Field(default=40, ge=1)
    """Longest answer that counts as a label; longer ones, and sentences, may differ without contradiction."""

    keep: Literal["none", "majority"] = "none"
    """none: all contradicting records are set aside. majority: those with the answer that more than half give stay."""


def find(spec: ContradictionsSpec, whole: Whole) -> Iterator[Finding]:
    """Every record whose question another one answers differently."""
    import numpy as np

    traits = whole.traits
    considered = np.flatnonzero(whole.open_N & traits.is_label_N & (traits.input_N != NONE))
    for members in runs_of_equal(considered, traits.input_N[considered]):
        answers = traits.answer_N[members].tolist()
        if len(set(answers)) > 1:
            yield from _set_aside(spec, members.tolist(), answers)


def _set_aside(spec: ContradictionsSpec, members: list[int], answers: list[int]) -> Iterator[Finding]:
    (leading, votes), *_ = counted = Counter(answers).most_common()
    stays = leading if spec.keep == "majority" and 2 * votes > len(answers) else None
    for index, answer in zip(members, answers, strict=True):
        if answer != stays:
            like = next(i for i, other in zip(members, answers, strict=True) if other != answer)
            detail = (
                f"another answer than {{like}} to the same question; {len(answers)} records give it "
                f"{len(counted)} different answers (keep: {spec.keep})"
            )
            yield index, WholeQuarantined("contradictions", detail, like)


WHOLE_CHECKS.add(
    "contradictions",
    WholeCheck(
        name="contradictions",
        place=20,
        about="Sets aside records with the same question and different labels for an answer.",
        spec=ContradictionsSpec,
        default=ContradictionsSpec(),
        find=find,
    ),
)
