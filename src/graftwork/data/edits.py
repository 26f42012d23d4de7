"""Changes to a text, and what becomes of marks in it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

Spans = tuple[tuple[int, int], ...]
"""Parts of a text, each from its first character to before its last, in order and apart."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters `start` to before `end` become `replacement`."""

    start: int
    end: int
    replacement: str


def edited(text: str, edits: Sequence[Edit]) -> str:
    """`text` after `edits`, which are in order and do not overlap.

    >>> edited("call 555-0100 now", [Edit(5, 13, "[PHONE]")])
    'call [PHONE] now'
    """
    parts, at = [], 0
    for edit in edits:
        parts += [text[at : edit.start], edit.replacement]
        at = edit.end
    return "".join([*parts, text[at:]])


def moved(spans: Spans, edits: Sequence[Edit]) -> Spans:
    """Where `spans` of a text lie after `edits`; a span that cuts through an edit takes its whole replacement, of two
    that do the first.

    >>> moved(((0, 4), (7, 17)), [Edit(5, 13, "[PHONE]")])
    ((0, 4), (5, 16))
    """
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        least = found[-1][1] if found else 0
        found.append((max(least, _moved(begin, edits, end=False)), max(least, _moved(end, edits, end=True))))
    return tuple(found)


def _moved(position: int, edits: Sequence[Edit], *, end: bool) -> int:
    shift = 0
    for edit in edits:
        if position <= edit.start:
            break
        if position < edit.end:
            return edit.start + shift + (len(edit.replacement) if end else 0)
        shift += len(edit.replacement) - (edit.end - edit.start)
    return position + shift
