"""Resident identity numbers of mainland China (18 characters, or 15 before 1999) and residence permits that share them.

Source: GB 11643-1999. Region, date of birth and checksum must hold. Where the words before say that it is one, a wrong
checksum is forgiven: a mistyped number still names a person.
"""

import re
from collections.abc import Iterator
from datetime import date

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

GAP = r"[ .\-]{0,2}"
FORM = re.compile(
    rf"[1-9](?<![0-9A-Za-z].)(?:(?:{GAP}[0-9]){{16}}{GAP}[0-9Xx](?![0-9A-Za-z])(?!\.[0-9])"
    rf"|(?:{GAP}[0-9]){{14}}(?![0-9A-Za-z])(?!{GAP}[0-9]))"
)
CONTEXT = re.compile(r"身份证|证件|居民证|公民身份|身份号|居住证|\bID\b|identity|resident", re.I)
PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def find(page: Page) -> Iterator[Hit]:
    """Numbers with a valid region and date, and with a valid checksum unless context vouches for them."""
    for match in page.near_digits(FORM, 15, CLOSE):
        number = bare(match.group())
        if number[:2] not in PROVINCES or not _is_born(number):
            continue
        vouched = bool(CONTEXT.search(page.before(match.start())))
        if len(number) == 18 and check_digit(number) == number[17]:
            yield Hit(match.start(), match.end(), 1.0, proven=True)
        elif vouched or (len(number) == 15 and not is_held_off(page, match.start())):
            yield Hit(match.start(), match.end(), 0.8, proven=vouched)


def check_digit(number: str) -> str:
    """The last character that belongs to the first seventeen digits.

    >>> check_digit("11010519491231002")
    'X'
    """
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(number, WEIGHTS, strict=False)) % 11]


def _is_born(number: str) -> bool:
    born = number[6:14] if len(number) == 18 else f"19{number[6:12]}"
    try:
        return 1880 <= date(int(born[:4]), int(born[4:6]), int(born[6:])).year <= 2100
    except ValueError:
        return False


RECOGNISERS.add("resident_id", Recogniser("resident_id", "resident_id", find, min_digits=15))
