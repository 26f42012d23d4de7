"""typos: slips of the hand: in long English words two letters exchanged, one left out or one doubled; in Chinese a
small word typed twice ("的的").

Never touched: the first and last letter of a word, words under five letters, and what carries meaning (`protect`).
"""

import re
from collections.abc import Sequence
from random import Random

from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span, is_open
from graftwork.evaluation.perturbations.words import inner, replaced, slipped

_SMALL = re.compile(r"([的了是在和与吗呢请会有这])(?!\1)(?<!\1\1)")
"""Small words of which no other word comes when they stand twice."""


def typos(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` with slips: of its English words, or where it has none, of its Chinese ones."""
    return slipped(text, spans, drawn, _slip) or _stuttered(text, spans, drawn)


def _slip(word: str, drawn: Random) -> str:
    at, how = inner(word, drawn), drawn.randrange(3)
    if how == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if how == 1 else word[:at] + word[at] + word[at:]


def _stuttered(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    places = [match.span() for match in _SMALL.finditer(text) if is_open(spans, *match.span())]
    if not places:
        return None
    start, end = drawn.choice(places)
    return replaced(text, {(start, end): 2 * text[start:end]})


PERTURBATIONS.add(
    "typos",
    Perturbation(
        name="typos",
        about="Slips of the hand: letters exchanged, left out or typed twice; Chinese: a small word typed twice.",
        scripts=("latin", "zh", "zh + latin"),
        severity="seen",
        disturb=on_question(typos),
    ),
)
