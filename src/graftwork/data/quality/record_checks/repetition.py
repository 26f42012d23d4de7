"""Repetition: answers that say the same over and over, as a model does that is caught in a loop.

Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, table A1, for measuring repeated lines and stretches.
Departs from it: limits are far higher, because answers are short and lists, tables and poems repeat themselves; only
loops are meant. Stretches are counted in characters, not words, so that Chinese is measured too.
"""

from __future__ import annotations

import zlib
from collections import Counter

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.quality.check import CHECKS, Check, Decision, Quarantined
from graftwork.data.quality.text import DENSE
from graftwork.data.records import Record

SQUEEZED_FRAC = 0.8
"""What text without repetition keeps of its size, at most, when compressed. Repetition leaves next to nothing, so a
text that keeps more than this share of what may stay unrepeated is below every limit; that saves the counting."""

ZLIB_BYTES = 40
"""What compression adds to a short text."""

LOOP_TURNS, LONGEST_LOOP = 5, 200
"""A piece of up to 200 characters said five times in a row is a loop."""

STRETCH, DENSE_STRETCH = 24, 12
"""Characters of a stretch that counts as repeated: about four words."""


class RepetitionSpec(Spec):
    """How much of an answer may repeat itself."""

    max_loop_frac: float = Field(default=0.8, gt=0, le=1)
    """Largest share of an answer in pieces said five or more times in a row. 0.5 to 0.8 are usual."""

    max_line_frac: float = Field(default=0.5, gt=0, le=1)
    """Largest share of an answer in lines that stood in it before. 0.3 to 0.6 are usual."""

    max_stretch_frac: float = Field(default=0.7, gt=0, le=1)
    """Largest share of an answer in stretches of about four words that stood in it before. 0.5 to 0.8 are usual."""

    min_characters: int = Field(default=40, ge=1)
    """Shorter answers are not measured: a short laugh is no loop."""


def decide(spec: RepetitionSpec, record: Record) -> Decision:
    """Quarantined when more of the answer than allowed repeats."""
    text = record.answer
    if len(text) < spec.min_characters or not _squeezes(text, spec):
        return None
    stretched = stretch_frac(text)
    if stretched < min(spec.max_loop_frac, spec.max_line_frac, spec.max_stretch_frac) / 2:
        return None  # loops and repeated lines are made of repeated stretches, so there can be few
    measured = (
        ("a piece said over and over in a row", loop_frac, spec.max_loop_frac, "max_loop_frac"),
        ("lines that stood there before", line_frac, spec.max_line_frac, "max_line_frac"),
        ("stretches that stood there before", lambda _: stretched, spec.max_stretch_frac, "max_stretch_frac"),
    )
    for what, measure, most, setting in measured:
        found = measure(text)
        if found > most:
            return Quarantined("repetition", f"{found:.0%} of the answer is {what}; {most:.0%} is the most ({setting})")
    return None


def _squeezes(text: str, spec: RepetitionSpec) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    unrepeated_frac = 1 - min(spec.max_loop_frac, spec.max_line_frac, spec.max_stretch_frac)
    return len(zlib.compress(data, 1)) < SQUEEZED_FRAC * unrepeated_frac * len(data) + ZLIB_BYTES


def loop_frac(text: str) -> float:
    """Share of `text` in pieces said LOOP_TURNS or more times in a row.

    >>> loop_frac("哈哈哈哈哈哈哈哈哈哈")
    1.0
    """
    import numpy as np

    code_T = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    depth_T = np.zeros(len(code_T) + 1, np.int64)  # how many loops begin, less how many end, before each character
    for period in range(1, min(LONGEST_LOOP, len(code_T) // LOOP_TURNS) + 1):
        same = np.concatenate([[False], code_T[period:] == code_T[:-period], [False]])
        borders = np.flatnonzero(same[1:] != same[:-1])
        begins, ends = borders[::2], borders[1::2]
        long = ends - begins >= period * (LOOP_TURNS - 1)
        np.add.at(depth_T, begins[long], 1)
        np.add.at(depth_T, ends[long] + period, -1)
    return float((np.cumsum(depth_T)[:-1] > 0).mean()) if len(code_T) else 0.0


def line_frac(text: str) -> float:
    """Share of the characters of `text`, but for white space at line ends, in lines that stood in it before.

    >>> line_frac("yes\\nyes\\nno")
    0.375
    """
    counts = Counter(filter(None, map(str.strip, text.splitlines())))
    total = sum(len(line) * times for line, times in counts.items())
    return sum(len(line) * (times - 1) for line, times in counts.items()) / max(1, total)


def stretch_frac(text: str) -> float:
    """Share of the places in `text` where a stretch begins that stood in it before."""
    is_dense = 2 * sum(character >= DENSE for character in text) > len(text)
    length = DENSE_STRETCH if is_dense else STRETCH
    places = len(text) - length + 1
    if places < 1:
        return 0.0
    return 1 - len({text[at : at + length] for at in range(places)}) / places


CHECKS.add(
    "repetition",
    Check(
        name="repetition",
        place=60,
        about="Sets aside records whose answer is caught in a loop.",
        spec=RepetitionSpec,
        default=RepetitionSpec(),
        decide=decide,
    ),
)
