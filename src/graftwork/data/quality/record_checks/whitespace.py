"""White space that means nothing: at the ends of texts, long gaps of blank lines, characters without width.

Indentation stays, because code needs it, and so do the joiners of Persian, Indian languages and emoji.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.data.edits import Edit
from graftwork.data.quality.check import CHECKS, Check, Decision, Repaired
from graftwork.data.records import Record

LINE_ENDS = re.compile("\r\n?")
NO_WIDTH = re.compile("[\u200b\u2060]+")
NEEDS_BREAKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Burmese and Khmer, which show where words end by spaces without width."""

END = re.compile(r"\s+\Z")
BEGINNING = re.compile(r"\A(?:[^\S\n]*\n)+")
INDENT = re.compile(r"\A[^\S\n]+")
INDENTED = re.compile(r"\n[ \t]+\S")

Edits = list[Edit]


class WhitespaceSpec(Spec):
    """Which white space goes."""

    ends: bool = True
    """Whether white space at the ends of a text goes; the indentation of a text with indented lines stays."""

    max_blank_lines: int = Field(default=3, ge=0)
    """Most blank lines in a row; more become so many."""

    no_width: bool = True
    """Whether spaces without width go, but from Thai, Lao, Burmese and Khmer."""


def decide(spec: WhitespaceSpec, record: Record) -> Decision:
    """Repaired where there is something to remove."""
    texts = [*(turn["content"] for turn in record.messages), record.rejected or ""]
    if not any(_may_have_some(spec, text) for text in texts):
        return None
    fixed, how = record, []
    for name, edits_of in _repairs(spec):
        after = fixed.edited(edits_of)
        if after is not fixed:
            fixed = after
            how.append(name)
    return Repaired(fixed, ", ".join(how)) if how else None


def _may_have_some(spec: WhitespaceSpec, text: str) -> bool:
    """Whether the slower search can find anything."""
    at_an_end = text[:1].isspace() or text[-1:].isspace()
    no_width = "\u200b" in text or "\u2060" in text
    return at_an_end or no_width or "\r" in text or text.count("\n") > spec.max_blank_lines


def _repairs(spec: WhitespaceSpec) -> Iterator[tuple[str, Callable[[str], Edits]]]:
    yield "line ends", _line_ends
    if spec.no_width:
        yield "spaces without width", _no_width
    yield "blank lines", partial(_blank_lines, spec.max_blank_lines)
    if spec.ends:
        yield "white space", _ends


def _line_ends(text: str) -> Edits:
    return [Edit(m.start(), m.end(), "\n") for m in LINE_ENDS.finditer(text)] if "\r" in text else []


def _no_width(text: str) -> Edits:
    if text.isascii() or NEEDS_BREAKS.search(text):
        return []
    return [Edit(m.start(), m.end(), "") for m in NO_WIDTH.finditer(text)]


def _blank_lines(most: int, text: str) -> Edits:
    """Blank lines beyond `most` in a row; white space before a line's first character is not of them."""
    if "\n" not in text:
        return []
    gaps = re.finditer(rf"\n(?:[^\S\n]*\n){{{most + 1},}}", text)
    return [Edit(m.start(), m.end(), "\n" * (most + 1)) for m in gaps]


def _ends(text: str) -> Edits:
    if not text or not (text[0].isspace() or text[-1].isspace()):
        return []
    end = END.search(text)
    if end and end.start() == 0:
        return [Edit(0, len(text), "")]
    before = BEGINNING.match(text) or (None if INDENTED.search(text) else INDENT.match(text))
    found = [m for m in (before, end) if m]
    return [Edit(m.start(), m.end(), "") for m in found]


CHECKS.add(
    "whitespace",
    Check(
        name="whitespace",
        place=20,
        about="Removes white space that means nothing.",
        spec=WhitespaceSpec,
        default=WhitespaceSpec(),
        decide=decide,
    ),
)
