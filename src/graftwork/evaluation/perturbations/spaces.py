"""spaces: white space that no one sees: doubled between words, put after Chinese punctuation and between Chinese and
Latin characters. Within what carries meaning (`protect`) nothing changes.
"""

import re
from collections.abc import Sequence
from random import Random

from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span, is_open
from graftwork.evaluation.perturbations.words import replaced

_PLACE = re.compile(
    r"(?<=\S)(?= \S)|(?<=[，。！？：；、])(?=\S)"
    r"|(?<=[\u4e00-\u9fff])(?=[A-Za-z\d])|(?<=[A-Za-z\d])(?=[\u4e00-\u9fff])"
)
ONE_IN = 3
"""A blank more at one of so many places, one at least."""


def spaces(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` with more blanks; None where one would be seen."""
    places = [match.span() for match in _PLACE.finditer(text) if is_open(spans, *match.span())]
    chosen = drawn.sample(places, -(-len(places) // ONE_IN))
    return replaced(text, dict.fromkeys(chosen, " ")) if chosen else None


PERTURBATIONS.add(
    "spaces",
    Perturbation(
        name="spaces",
        about="Doubled blanks, and blanks after Chinese punctuation and beside Latin characters.",
        scripts=("latin", "zh", "zh + latin", "other"),
        severity="unseen",
        disturb=on_question(spaces),
    ),
)
