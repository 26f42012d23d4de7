"""Facts: numbers and dates that a text has and the text it was asked about has not, sentence by sentence.

The rules know how numbers and dates are written; they do not understand. A right number in a wrong sentence passes; one
that follows from others, such as a sum, is found. Where the prompt is short there is no source to keep to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from graftwork.data.facts.support import facts
from graftwork.serving.guard.finding import FILTERS, Action, FilterKind, FilterSpec, Finder, Look, Span, Text

END = re.compile(r"[。！？!?\n]|\.(?=\s)")
MOST = 600
"""Characters of a sentence that are held back; a longer one is cut."""


class FactsSpec(FilterSpec):
    """Holds the numbers and dates of an answer against its prompt."""

    filter: Literal["facts"] = "facts"
    """Looks for numbers and dates without support."""

    kinds: tuple[Literal["number", "date", "name"], ...] = Field(default=("number", "date"), min_length=1)
    """What is held against the prompt. Names are found by capital letters and titles: expect false alarms."""

    source_characters: int = Field(default=400, ge=1)
    """A prompt of so many characters is a source that its answer must keep to; of a shorter one nothing is asked."""


@dataclass(frozen=True, slots=True)
class Supported:
    """The filter of its settings."""

    spec: FactsSpec
    evidence: dict[str, object] = field(default_factory=dict)

    def finder(self, source: str) -> Finder:
        """Holds against `source`; settles everything at once when that is none."""
        if len(source) < self.spec.source_characters:
            return lambda text: Look((), len(text.held))
        return lambda text: _look(text, source, self.spec)


def _look(text: Text, source: str, spec: FactsSpec) -> Look:
    spans: list[Span] = []
    settled = 0
    for start, end in _sentences(text.held, is_last=text.is_last):
        spans += _unsupported(text.held[start:end], start, source, spec)
        settled = end
    return Look(tuple(spans), settled)


def _sentences(held: str, *, is_last: bool) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(held):
        found = END.search(held, start, start + MOST + 1)
        end = found.end() if found else start + MOST
        if end > len(held) or (found is None and len(held) - start <= MOST):
            if not is_last:
                return
            end = len(held)
        yield start, end
        start = end


def _unsupported(sentence: str, at: int, source: str, spec: FactsSpec) -> Iterator[Span]:
    """Each fact without support; of a sentence that is to be blocked all of it, once."""
    missing = [one for one in facts(sentence, source) if one.kind in spec.kinds and not one.is_supported]
    if missing and spec.action == "block":
        yield Span(at, at + len(sentence), missing[0].kind, "")
        return
    free = 0
    for start, one in sorted(((sentence.find(one.written), one) for one in missing), key=lambda pair: pair[0]):
        if start >= free:
            free = start + len(one.written)
            yield Span(at + start, at + free, one.kind, "")


ACTIONS: tuple[Action, ...] = ("block", "flag")
FILTERS.add("facts", FilterKind(spec=FactsSpec, made=Supported, actions=ACTIONS, sides=("answer",)))
