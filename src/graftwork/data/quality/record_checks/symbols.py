"""Symbols: answers that are mostly neither letters nor digits, such as the remains of a table or of binary data."""

import re

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.records import Record

SPACE = re.compile(r"\s+")
NOT_WORD = re.compile(r"[\W_]+")


class SymbolsSpec(Spec):
    """How much of an answer must be letters or digits."""

    min_letters_frac: float = Field(default=0.2, gt=0, le=1)
    """Least share of letters and digits, white space aside. Code and formulas reach 0.4, prose 0.9."""

    min_characters: int = Field(default=40, ge=1)
    """Shorter answers are not measured: they may be a formula or a row of emoji."""


def decide(spec: SymbolsSpec, record: Record) -> Decision:
    """Quarantined when too little of the answer is letters or digits."""
    answer = record.answer
    if len(answer) < spec.min_characters:
        return None
    needed = spec.min_letters_frac * len(answer)
    if _num_letters(answer[: int(1.5 * needed) + 1]) >= needed:
        return None  # in prose the beginning alone has enough, and without white space the share is larger still
    found = _num_letters(answer) / max(1, len(SPACE.sub("", answer)))
    if found >= spec.min_letters_frac:
        return None
    limit = f"{spec.min_letters_frac:.0%} is the least (min_letters_frac)"
    return Quarantined("symbols", f"{found:.0%} of the answer are letters or digits; {limit}")


def _num_letters(text: str) -> int:
    return len(NOT_WORD.sub("", text))


CHECKS.add(
    "symbols",
    Check(
        name="symbols",
        place=70,
        about="Sets aside records whose answer is mostly neither letters nor digits.",
        spec=SymbolsSpec,
        default=SymbolsSpec(),
        decide=decide,
    ),
)
