"""Pattern: a regular expression of one's own, which can match only so many characters.

A pattern whose matches have no bound would hold back an answer to its end, so it is refused; so is whatever looks past
its match. Time is bounded too: a text that takes longer than the limit counts as found.
"""

import importlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import regex
from pydantic import Field, model_validator

from graftwork.core.errors import Problem, SpecError
from graftwork.serving.guard.finding import FILTERS, FilterKind, FilterSpec, Finder, Look, Span, Text

parts: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")
"""What tells how long a match can be; Python has it under no public name."""

MOST = 1000
"""Characters that a match may have."""

TIMEOUT_S = 0.2
"""Seconds that a pattern may take over what is held back."""


class PatternSpec(FilterSpec):
    """Finds what a regular expression matches."""

    filter: Literal["pattern"] = "pattern"
    """Matches a regular expression."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """What its matches are called in counts, in small letters: case_number."""

    pattern: str = Field(min_length=1, max_length=2000)
    """A regular expression in the words of Python, whose matches have a bound: write {0,40}, not *. No look-around, no
    ^ and $, no references."""

    ignore_case: bool = False
    """Whether capitals make no difference."""

    mask: str = "***"
    """What stands in the place of a match."""

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        problems = [Problem("pattern", self.pattern, "a pattern whose matches are bounded", why) for why in _why(self)]
        if problems:
            raise SpecError(problems)
        return self


def _why(spec: PatternSpec) -> list[str]:
    """What is wrong with a pattern."""
    try:
        tree = parser.parse(spec.pattern)
        regex.compile(spec.pattern)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        return [f"It cannot be read: {error}."]
    least, most = tree.getwidth()
    told = [f"It uses {word}." for word in sorted(_foreign(tree))]
    if most > MOST:
        told.append(f"A match may have at most {MOST} characters. Write {{0,40}} for *, {{1,40}} for +.")
    if least == 0:
        told.append("It matches nothing at all, too. Ask for a character at least.")
    return told


def _foreign(tree: Any) -> set[str]:
    """What makes a match depend on more than its own characters and their neighbours, anywhere in a pattern."""
    found: set[str] = set()
    for code, value in tree:
        if code in (parts.ASSERT, parts.ASSERT_NOT):
            found.add("look-around")
        elif code in (parts.GROUPREF, parts.GROUPREF_EXISTS):
            found.add("a reference")
        elif code == parts.AT and value not in (parts.AT_BOUNDARY, parts.AT_NON_BOUNDARY):
            found.add("^ or $")
        for inner in _within(value):
            found |= _foreign(inner)
    return found


def _within(value: Any) -> list[Any]:
    if isinstance(value, parser.SubPattern):
        return [value]
    if isinstance(value, list | tuple):
        return [inner for one in value for inner in _within(one)]
    return []


@dataclass(frozen=True, slots=True)
class Matched:
    """The filter of its settings."""

    spec: PatternSpec
    evidence: dict[str, object] = field(default_factory=dict)

    def finder(self, source: str) -> Finder:
        """The same for every text."""
        tree = parser.parse(self.spec.pattern)
        compiled = regex.compile(self.spec.pattern, regex.IGNORECASE if self.spec.ignore_case else 0)
        return _Search(compiled, int(tree.getwidth()[1]), "\\b" in self.spec.pattern.lower(), self.spec).look


@dataclass(frozen=True, slots=True)
class _Search:
    """
    Attributes:
        most: characters of the longest match.
        sees_borders: the neighbours of a match count; so what is held back cannot be told from its characters alone.
    """

    compiled: Any
    most: int
    sees_borders: bool
    spec: PatternSpec

    def look(self, text: Text) -> Look:
        """Every match that nothing can change any more."""
        try:
            return self._look(text)
        except TimeoutError:
            return Look((Span(0, len(text.held), f"{self.spec.name}_timeout", self.spec.mask),), len(text.held))

    def _look(self, text: Text) -> Look:
        whole, begin = text.before + text.held, len(text.before)
        spans: list[Span] = []
        at = begin
        while at < len(whole):
            match = self.compiled.search(whole, at, partial=not text.is_last, timeout=TIMEOUT_S)
            start = match.start() if match else len(whole)
            if not text.is_last:
                if self.sees_borders:
                    start = min(start, max(at, len(whole) - self.most))
                if len(whole) - start <= self.most:  # what comes next may change or prolong it
                    return Look(tuple(spans), start - begin)
            if match is None:
                break
            spans.append(Span(match.start() - begin, match.end() - begin, self.spec.name, self.spec.mask))
            at = match.end()
        return Look(tuple(spans), len(text.held))


FILTERS.add("pattern", FilterKind(spec=PatternSpec, made=Matched))
