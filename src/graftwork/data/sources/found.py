"""What is found in a source: rows, and what is there that is none. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from graftwork.core.errors import Problem
from graftwork.core.spec import is_whole_text
from graftwork.data.records import Origin

SHOWN_CHARACTERS = 2_000
"""Most of a bad row that is kept with it."""

BYTE_MARK = 0xDC00
"""A byte that is no text stands in decoded text as this many more: half a character, which no whole text holds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source, by its keys."""

    origin: Origin
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Bad:
    """What cannot be used, and why.

    Attributes:
        reason: short name of what is wrong, to count by: `json`, `utf-8`, `truncated`.
        message: the same in words: where, what was given, what is expected, what to do.
        raw: what was there, as text with bad bytes escaped; its first 2,000 characters.
    """

    origin: Origin
    reason: str
    message: str
    raw: str


Found = Row | Bad


def bad(origin: Origin, reason: str, problem: Problem, raw: str | bytes) -> Bad:
    """A bad row told by `problem`, of which no more is kept than is shown."""
    text = raw if isinstance(raw, str) else raw[: 4 * SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    return Bad(origin, reason, str(problem), escaped(text[:SHOWN_CHARACTERS])[:SHOWN_CHARACTERS])


def escaped(text: str) -> str:
    """`text` with bytes that are no text, and halves of characters, written as escapes.

    >>> print(escaped("a" + chr(0xDCFF)))
    a\\xff
    """
    if is_whole_text(text):
        return text
    marked = re.sub("[\udc00-\udcff]", lambda mark: f"\\x{ord(mark[0]) - BYTE_MARK:02x}", text)
    return marked.encode("utf-8", "backslashreplace").decode("utf-8")


def of_file(file: str) -> Origin:
    """The origin of what is wrong with a file as a whole."""
    return Origin(file, 1, "file")


def shown(data: Mapping[str, object]) -> str:
    """A row as text, to keep with what is wrong with it."""
    return json.dumps(data, ensure_ascii=False, default=str)
