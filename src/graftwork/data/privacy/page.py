"""A text as the recognisers see it: folded to one written form of the same length, with the places where digits are.

Folding never moves a character, so a place found in the folded text is that place in the text as it was written.
"""

import re
from collections.abc import Iterable

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
CODED = re.compile("[A-Za-z][ -]?[0-9]")
SHORT = 240
"""A text of so few characters is looked at as a whole: to cut it up costs more than it saves."""

WIDE, CLOSE = 48, 24
"""Characters on both sides of digits that are looked at: with words that lead to a number, or for the number only."""


class Page:
    """One text, folded, with the places worth looking at.

    Attributes:
        text: the text folded: full-width letters and digits, dashes and spaces in their plain form.
        clusters: where four or more digits are close together, and how many.
        most_digits: digits of the longest cluster; of fewer than four, 1; 0 where there is no digit at all.
        is_han: whether there may be Chinese characters.
        is_latin: whether two Latin letters stand together.
        is_coded: whether a digit stands right behind a Latin letter.
    """

    __slots__ = ("_lower", "_windows", "clusters", "is_coded", "is_han", "is_latin", "most_digits", "text")

    def __init__(self, written: str) -> None:
        self.text = text = folded(written)
        self._lower: str | None = None
        self._windows: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.is_han = not text.isascii()
        self.is_latin = LETTERS.search(text) is not None
        self.clusters: list[tuple[int, int, int]] = []
        self.most_digits = 0
        self.is_coded = False
        if DIGIT.search(text):
            self._count_digits(text)

    def _count_digits(self, text: str) -> None:
        self.most_digits = 1
        for match in DIGITS.finditer(text):
            count = len(NO_DIGIT.sub("", match.group()))
            self.clusters.append((*match.span(), count))
            self.most_digits = max(count, self.most_digits)
        self.is_coded = CODED.search(text) is not None

    @property
    def lower(self) -> str:
        """The folded text in small letters, for words that may be written in any case."""
        if self._lower is None:
            self._lower = self.text.lower()
        return self._lower

    def holds(self, *words: str) -> bool:
        """Whether one of `words`, in small letters, is in the text. The cheap question before a costly pattern."""
        lower = self.lower
        for word in words:  # noqa: SIM110  a generator costs more than the search
            if word in lower:
                return True
        return False

    def near_digits(self, pattern: re.Pattern[str], least: int = 4, margin: int = WIDE) -> Iterable[re.Match[str]]:
        """Every match of `pattern` in the stretches around clusters of `least` digits or more."""
        if self.most_digits < least:
            return ()
        if len(self.text) <= SHORT:
            return pattern.finditer(self.text)
        windows = self._stretches(least, margin)
        return (match for begin, end in windows for match in pattern.finditer(self.text, begin, end))

    def _stretches(self, least: int, margin: int) -> list[tuple[int, int]]:
        """Stretches around clusters, apart from each other."""
        key = (least, margin)
        if key in self._windows:
            return self._windows[key]
        windows: list[tuple[int, int]] = []
        for start, stop, count in self.clusters:
            if count < least:
                continue
            begin, end = max(0, start - margin), min(len(self.text), stop + margin)
            if windows and begin <= windows[-1][1]:
                windows[-1] = (windows[-1][0], end)
            else:
                windows.append((begin, end))
        self._windows[key] = windows
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
    if text.isascii():
        return text.replace("\t", " ")
    return text.translate(FOLD) if ODD.search(text) else text
