"""Taiwan identity cards and resident certificates: a letter, nine digits, a checksum."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

FORM = re.compile(r"[A-Za-z](?<![0-9A-Za-z].)[ -]?[1289](?:[ -]?[0-9]){8}(?![0-9A-Za-z])")
CONTEXT = re.compile(r"身份|身分|證|证件|台湾|台灣|居留|identity|\bID\b", re.I)
LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
"""In the order of their values, from 10."""


def find(page: Page) -> Iterator[Hit]:
    """Numbers whose checksum holds, and others that are called an identity number."""
    for match in page.near_digits(FORM, 9, CLOSE):
        told = CONTEXT.search(page.before(match.start()))
        number = bare(match.group())
        if check_digit(number[:9]) == number[9] and (told or not _is_called(page, match.start())):
            yield Hit(match.start(), match.end(), 0.95, proven=True)
        elif told:
            yield Hit(match.start(), match.end(), 0.7)


def _is_called(page: Page, start: int) -> bool:
    """Whether a label gives the number another name: one in ten of any letter and nine digits holds the checksum."""
    return is_held_off(page, start) or page.before(start, 4).rstrip()[-1:] in (":", "=", "#", "号")


def check_digit(stem: str) -> str:
    """The last digit that belongs to a letter and eight digits.

    >>> check_digit("A12345678")
    '9'
    """
    letter = LETTERS.index(stem[0]) + 10
    total = letter // 10 + letter % 10 * 9 + sum(int(digit) * (8 - at) for at, digit in enumerate(stem[1:]))
    return str(-total % 10)


RECOGNISERS.add("taiwan_id", Recogniser("taiwan_id", "taiwan_id", find, is_coded=True, min_digits=9))
