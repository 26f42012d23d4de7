"""keyboard: in long English words a letter is that of the key beside it, on a QWERTY keyboard.

Never touched: as with typos.
"""

from collections.abc import Sequence
from random import Random

from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span
from graftwork.evaluation.perturbations.words import inner, slipped

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, letter in enumerate(row)}


def keyboard(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` with neighbouring keys pressed in some of its long English words."""
    return slipped(text, spans, drawn, _slip)


def _slip(word: str, drawn: Random) -> str:
    at = inner(word, drawn)
    return word[:at] + drawn.choice(_BESIDE[word[at].lower()]) + word[at + 1 :]


PERTURBATIONS.add(
    "keyboard",
    Perturbation(
        name="keyboard",
        about="In some long words a letter is that of the key beside it.",
        scripts=("latin", "zh + latin"),
        severity="seen",
        disturb=on_question(keyboard),
    ),
)
