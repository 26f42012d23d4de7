"""Unified social credit codes of organisations in mainland China: 18 characters with a checksum.

Source: GB 32100-2015.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare

FORM = re.compile(
    r"[1-9A-GNYa-gny](?<![0-9A-Za-z].)[1-9](?:[ -]?[0-9]){6}(?:[ -]?[0-9A-HJ-NP-RT-UW-Ya-hj-np-rt-uw-y]){10}"
    r"(?![0-9A-Za-z])"
)
CONTEXT = re.compile(r"信用代码|税号|纳税人识别号|营业执照|credit code|\bUSCC?\b", re.I)
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def find(page: Page) -> Iterator[Hit]:
    """Codes whose checksum holds, and others that the words before call one."""
    for match in page.near_digits(FORM, 6, CLOSE):
        code = bare(match.group())
        if check_character(code) == code[17]:
            yield Hit(match.start(), match.end(), 0.99, proven=True)
        elif CONTEXT.search(page.before(match.start())):
            yield Hit(match.start(), match.end(), 0.7)


def check_character(code: str) -> str:
    """The last character that belongs to the first seventeen."""
    total = sum(ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(code[:17]))
    return ALPHABET[-total % 31]


RECOGNISERS.add("credit_code", Recogniser("credit_code", "credit_code", find, min_digits=6))
