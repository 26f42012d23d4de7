"""case: all in small letters, as on a phone. Words with capitals within (DNA, pH), single capitals, possible answers
and code keep theirs.
"""

from collections.abc import Sequence
from random import Random

from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Part, Span, each_open

KEEPS: frozenset[Part] = frozenset({"digits", "acronyms", "answers", "code"})


def case(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` in small letters."""
    return each_open(text, spans, str.lower)


PERTURBATIONS.add(
    "case",
    Perturbation(
        name="case",
        about="All in small letters.",
        scripts=("latin", "zh + latin"),
        severity="seen",
        disturb=on_question(case, KEEPS),
        keeps=KEEPS,
        is_idempotent=True,
    ),
)
