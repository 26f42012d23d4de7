"""Dates in a text as year, month and day, of which some may be left open. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from graftwork.data.facts.chinese import value_of

FIRST_HALF = ("january", "february", "march", "april", "may", "june")
MONTHS = (*FIRST_HALF, "july", "august", "september", "october", "november", "december")
_MONTH = "(?P<month>" + "|".join(f"{m}|{m[:3]}\\.?" for m in MONTHS) + "|sept\\.?)"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>1[0-9]{3}|20[0-9]{2})"
_HAN = "〇零一二三四五六七八九十"
PATTERNS = (
    re.compile(r"(?<!\d)(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})(?!\d)"),
    re.compile(
        rf"(?P<year>\d{{4}}|[{_HAN}]{{4}})\s?年(?:\s?(?P<month>\d{{1,2}}|[{_HAN}]{{1,3}})\s?月"
        rf"(?:份|\s?(?P<day>\d{{1,2}}|[{_HAN}]{{1,3}})\s?[日号])?)?"
    ),
    re.compile(
        rf"(?<![年\d{_HAN}])(?P<month>\d{{1,2}}|[{_HAN}]{{1,3}})\s?月\s?(?P<day>\d{{1,2}}|[{_HAN}]{{1,3}})\s?[日号]"
    ),
    re.compile(rf"\b{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?\b", re.I),
    re.compile(rf"\b{_DAY}(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR})?\b", re.I),
    re.compile(rf"\b{_MONTH},?\s+{_YEAR}\b", re.I),
)


@dataclass(frozen=True, slots=True)
class Day:
    """A date; what it leaves open is None."""

    year: int | None
    month: int | None
    day: int | None

    def says(self, other: "Day") -> bool:
        """Whether everything that `other` says is said here.

        >>> Day(2024, 3, 5).says(Day(None, 3, 5)), Day(2024, 3, None).says(Day(2024, 3, 5))
        (True, False)
        """
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return all(theirs is None or ours == theirs for ours, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Dated:
    """A date where it stands in a text."""

    start: int
    end: int
    day: Day


def dates(text: str) -> list[Dated]:
    """The dates in `text`, in order, apart from each other; what is no day of a calendar is left out.

    >>> [found.day for found in dates("from March 5, 2024 to 2024年四月十二日")]
    [Day(year=2024, month=3, day=5), Day(year=2024, month=4, day=12)]
    """
    found: list[Dated] = []
    for one in sorted(_all(text), key=lambda dated: (dated.start, -dated.end)):
        if not found or one.start >= found[-1].end:
            found.append(one)
    return found


def _all(text: str) -> Iterator[Dated]:
    for pattern in PATTERNS:
        for match in pattern.finditer(text):
            parts = match.groupdict()
            day = Day(_number(parts.get("year")), _month(parts.get("month")), _number(parts.get("day")))
            if 1 <= (day.month or 1) <= 12 and 1 <= (day.day or 1) <= 31:
                yield Dated(match.start(), match.end(), day)


def _month(written: str | None) -> int | None:
    if written is None or not written[0].isascii() or not written[0].isalpha():
        return _number(written)
    return next(i for i, name in enumerate(MONTHS, 1) if name[:3] == written[:3].lower())


def _number(written: str | None) -> int | None:
    if written is None:
        return None
    return int(written) if written.isdigit() else value_of(written)
