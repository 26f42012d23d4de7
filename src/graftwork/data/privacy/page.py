"""A text as the recognisers see it: folded to one written form of the same length, with the places where digits are.

Folding never moves a character, so a place found in the folded text is that place in the text as it was written.
"""

import re
from collections.abc import Iterator
from functools import cached_property

DASHES = "‐‑‒–—―−﹣－"
SPACES = "\u00a0\u2002\u2003\u2009\u202f\u3000\u200b\u200c\u200d\u2060\ufeff\t"
APOSTROPHES = "‘’ʼ＇"
FOLD = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in "，：；！？～"}
    | dict.fromkeys(DASHES, "-")
    | dict.fromkeys(SPACES, " ")
    | dict.fromkeys(APOSTROPHES, "'")
    | {"﹫": "@", "：": ":"}
)
ODD = re.compile(f"[{DASHES}{SPACES}{APOSTROPHES}﹫：（）＂-＋．-９＠-Ｚａ-ｚ＿]")
DIGITS = re.compile(r"[0-9](?:[^\w\n]{0,3}[0-9]){3,}")
DIGIT, NO_DIGIT, LETTERS = re.compile("[0-9]"), re.compile("[^0-9]+"), re.compile("[A-Za-z]{2}")
WIDE, CLOSE = 48, 24
"""Characters on both sides of digits that are looked at: with words that lead to a number, or for the number only."""


class Page:
    """One text, folded, with the places worth looking at.

    Attributes:
        written: the text as it is.
        text: the same, folded: full-width letters and digits, dashes and spaces in their plain form.
    """

    def __init__(self, written: str) -> None:
        self.written = written
        self.text = folded(written)
        self._known_windows: dict[tuple[int, int], list[tuple[int, int]]] = {}

    @cached_property
    def lower(self) -> str:
        """The folded text in small letters, for words that may be written in any case."""
        return self.text.lower()

    def holds(self, *words: str) -> bool:
        """Whether one of `words`, in small letters, is in the text. The cheap question before a costly pattern."""
        lower = self.lower
        for word in words:  # noqa: SIM110  a generator costs more than the search
            if word in lower:
                return True
        return False

    @cached_property
    def is_han(self) -> bool:
        """Whether there may be Chinese characters."""
        return not self.text.isascii()

    @cached_property
    def is_latin(self) -> bool:
        """Whether two Latin letters stand together."""
        return bool(LETTERS.search(self.text))

    @cached_property
    def clusters(self) -> list[tuple[int, int, int]]:
        """Where four or more digits are close together, and how many."""
        if not DIGIT.search(self.text):
            return []
        found = (match.span() for match in DIGITS.finditer(self.text))
        return [(start, end, len(NO_DIGIT.sub("", self.text[start:end]))) for start, end in found]

    @cached_property
    def most_digits(self) -> int:
        """Digits of the longest cluster; of fewer than four, 1; 0 where there is no digit at all."""
        if not self.clusters:
            return 1 if DIGIT.search(self.text) else 0
        return max(count for *_, count in self.clusters)

    def near_digits(self, pattern: re.Pattern[str], least: int = 4, margin: int = WIDE) -> Iterator[re.Match[str]]:
        """Every match of `pattern` in the stretches around clusters of `least` digits or more."""
        for begin, end in self._windows(least, margin):
            yield from pattern.finditer(self.text, begin, end)

    def _windows(self, least: int, margin: int) -> list[tuple[int, int]]:
        """Stretches around clusters, apart from each other."""
        key = (least, margin)
        if key in self._known_windows:
            return self._known_windows[key]
        windows: list[tuple[int, int]] = []
        for start, stop, count in self.clusters:
            if count < least:
                continue
            begin, end = max(0, start - margin), min(len(self.text), stop + margin)
            if windows and begin <= windows[-1][1]:
                windows[-1] = (windows[-1][0], end)
            else:
                windows.append((begin, end))
        self._known_windows[key] = windows
        return windows

    def before(self, start: int, num: int = 24) -> str:
        """Up to `num` characters before `start`, on the same line."""
        return self.text[max(0, start - num) : start].rpartition("\n")[2]

    def after(self, end: int, num: int = 12) -> str:
        """Up to `num` characters from `end` on, on the same line."""
        return self.text[end : end + num].partition("\n")[0]


def folded(text: str) -> str:
    """`text` with full-width characters, dashes and spaces in their plain form; as long as before.

    >>> folded("１３８－００１３－８０００")
    '138-0013-8000'
    """
    return text.translate(FOLD) if ODD.search(text) else text
