"""width: Latin letters and the blanks between them in full width, Chinese punctuation in half width, as an input method
left in the wrong mode gives them. Digits keep their width.
"""

from collections.abc import Sequence
from random import Random

from graftwork.evaluation.metrics.text import halved
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span, each_open

_LETTERS = {code: code + 0xFEE0 for code in (*range(0x41, 0x5B), *range(0x61, 0x7B))}
_SIGNS = {ord(full): half for full, half in zip("，。！？：；（）", ",.!?:;()", strict=True)}
WIDTHS = {**_LETTERS, **_SIGNS}


def width(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` with the other width of letters and signs."""
    return each_open(text, spans, lambda stretch: stretch.translate(WIDTHS))


PERTURBATIONS.add(
    "width",
    Perturbation(
        name="width",
        about="Latin letters in full width, Chinese punctuation in half width.",
        scripts=("zh", "zh + latin"),
        severity="seen",
        disturb=on_question(width),
        is_idempotent=True,
        fold=halved,
    ),
)
