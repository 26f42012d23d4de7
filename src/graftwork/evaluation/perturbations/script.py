"""script: simplified characters for traditional ones, or the other way round (opencc, which goes by words).

Which of the two a question is in is told by which of the two conversions changes it. Possible answers stay as they are;
answers are compared after both are made simplified, for who is asked in traditional characters may well answer in them.
"""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from graftwork.data.script import HAN
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Part, Span, each_open

TO_TRADITIONAL = "s2tw"
"""As written in Taiwan."""

KEEPS: frozenset[Part] = frozenset({"digits", "acronyms", "answers", "code"})


def script(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` in traditional characters if it is in simplified ones, else in simplified ones."""
    is_simplified = simplified(text) == text
    return each_open(text, spans, _converter(TO_TRADITIONAL).convert if is_simplified else simplified)


def simplified(text: str) -> str:
    """`text` in simplified characters.

    >>> simplified("頭髮")
    '头发'
    """
    return str(_converter("t2s").convert(text)) if HAN.search(text) else text


@cache
def _converter(name: str) -> Any:
    from opencc import OpenCC

    return OpenCC(name)


PERTURBATIONS.add(
    "script",
    Perturbation(
        name="script",
        about="Traditional characters for simplified ones, or the other way round.",
        scripts=("zh", "zh + latin"),
        severity="seen",
        disturb=on_question(script, KEEPS),
        keeps=KEEPS,
        fold=simplified,
        needs="opencc",
    ),
)
