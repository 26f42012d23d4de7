"""NHS numbers of England: ten digits whose last is a checksum, after the word NHS."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare

FORM = re.compile(r"\bNHS\b[^0-9\n]{0,20}?(?P<number>[0-9]{3}[ \-]?[0-9]{3}[ \-]?[0-9]{4})(?![0-9A-Za-z_])", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Numbers after the word, proven where the checksum holds."""
    for match in page.near_digits(FORM, 10):
        number = bare(match["number"])
        yield Hit(*match.span("number"), 0.9, proven=check_digit(number[:9]) == number[9])


def check_digit(stem: str) -> str:
    """The last digit that belongs to nine; X where there is none.

    >>> check_digit("943476591")
    '9'
    """
    rest = 11 - sum(int(digit) * (10 - at) for at, digit in enumerate(stem)) % 11
    return "0" if rest == 11 else "X" if rest == 10 else str(rest)


RECOGNISERS.add("uk_nhs", Recogniser("uk_nhs", "uk_nhs", find, min_digits=10, words=("nhs",)))
