"""Hong Kong identity cards: one or two letters, six digits and a check character, usually in brackets."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare

FORM = re.compile(r"[A-Za-z](?<![0-9A-Za-z].)[A-Za-z]? ?[0-9]{6} ?(?:\([0-9Aa]\)|[0-9Aa](?![0-9A-Za-z]))")
CONTEXT = re.compile(r"身份|證|证件|HKID|identity|香港|\bID\b", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Numbers whose check character holds, in brackets or after words that say identity card."""
    for match in page.near_digits(FORM, 6, CLOSE):
        told = CONTEXT.search(page.before(match.start()))
        if ("(" in match.group() or told) and check_character(bare(match.group())[:-1]) == bare(match.group())[-1]:
            yield Hit(match.start(), match.end(), 0.97, proven=True)
        elif told and "(" in match.group():
            yield Hit(match.start(), match.end(), 0.7)


def check_character(stem: str) -> str:
    """The check character of letters and digits; a missing first letter counts as a space, 36.

    >>> check_character("A123456")
    '3'
    """
    values = [36] * (8 - len(stem)) + [int(character, 36) for character in stem]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return "0123456789A"[-total % 11]


RECOGNISERS.add("hong_kong_id", Recogniser("hong_kong_id", "hong_kong_id", find, is_coded=True, min_digits=6))
