"""A text as letters, each with its place, in every way in which it may be meant to be read. Pure.

Read like `data.lexicons.folding` does it, letter by letter, so that a text can be read while it comes: full and half
width, accents, invisible characters, look-alikes, traditional characters, letters drawn out (three or more of one are
one), digits and signs that stand for letters.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from graftwork.data.lexicons.folding import HAN, LEET, LOOK_ALIKES, WIDE_SIGNS, simplified

LATIN = frozenset("abcdefghijklmnopqrstuvwxyz")
LATIN_WORD = LATIN | frozenset("0123456789")
IS_HAN = re.compile(f"[{HAN}]")
STANDS_FOR = re.compile(r"[0134578@$€!|]")
DRAWN_OUT, MOST_DRAWN = 3, 24
"""Letters side by side that are one; characters that they may take, so that what is held back has a bound."""


class Letter(NamedTuple):
    """A letter or digit.

    Attributes:
        sign: in small plain letters, simplified.
        start: its first character in the text.
        end: the character after its last; of letters drawn out, after them all.
        is_told: it is written as itself, no digit or sign that stands for it.
    """

    sign: str
    start: int
    end: int
    is_told: bool


@lru_cache(maxsize=20_000)
def plain(character: str) -> str:
    """What a character is in small plain letters and simplified; nothing for one that is not seen.

    >>> plain("Ｈ"), plain("繁"), plain("\u200b"), plain("é"), plain("，")
    ('h', '繁', '', 'e', '，')
    """
    if character in WIDE_SIGNS:
        return character
    apart = unicodedata.normalize("NFKD", character)
    seen = "".join(c for c in apart if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    whole = unicodedata.normalize("NFC", seen).casefold().translate(LOOK_ALIKES)
    return whole.translate(simplified())


def readings(text: str) -> Iterator[list[Letter]]:
    """The letters of `text`, once as they are, and where digits and signs may stand for letters, so too."""
    signs = [(c, i) for i, written in enumerate(text) for c in plain(written)]
    yield _drawn_in(text, [Letter(c, i, i + 1, is_told=True) for c, i in signs if c.isalnum()])
    if any(STANDS_FOR.match(c) for c, _ in signs):
        for table in LEET:
            read = [(c.translate(table), i, c) for c, i in signs]
            yield _drawn_in(text, [Letter(c, i, i + 1, is_told=c == old) for c, i, old in read if c.isalnum()])


def _drawn_in(text: str, letters: list[Letter]) -> list[Letter]:
    """`letters` with one in the place of three or more of the same side by side."""
    out: list[Letter] = []
    at = 0
    while at < len(letters):
        stop = at + 1
        while stop < len(letters) and _goes_on(text, letters[stop - 1], letters[stop]):
            stop += 1
        out += _one(letters[at:stop])
        at = stop
    return out


def _goes_on(text: str, one: Letter, other: Letter) -> bool:
    """Whether a letter is the one before it again, with nothing between that is seen."""
    return one.sign == other.sign and one.sign in LATIN and not any(plain(c) for c in text[one.end : other.start])


def _one(run: list[Letter]) -> list[Letter]:
    """A letter drawn out as one letter; as they are, if they are too few or too many."""
    if len(run) < DRAWN_OUT or run[-1].end - run[0].start > MOST_DRAWN:
        return run
    return [Letter(run[0].sign, run[0].start, run[-1].end, is_told=all(letter.is_told for letter in run))]
