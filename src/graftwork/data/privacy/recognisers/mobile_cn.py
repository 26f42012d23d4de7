"""Mobile numbers of mainland China: eleven digits from 13 to 19, in one piece, in groups, digit by digit."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

COUNTRY = r"(?:(?:\+|\b00)\(?86\)?[ -]{0,2}|\(\+?86\)[ -]?|\b86[ -])?"
EDGE = (
    r"(?:(?<![0-9A-Za-z_])|(?<=[Tt]el)|(?<=[Pp]hone)|(?<=[Mm]obile)|(?<=TEL)|(?<=[Qq]q)|(?<=[wvWV][xX]))"
    r"(?<![0-9][.\-])(?<![A-Za-z_]/)"
)
GROUPED = (
    r"1[3-9][0-9][ .\-]{1,3}[0-9]{4}[ .\-]{1,3}[0-9]{4}|1[3-9][0-9][ .\-][0-9]{3}[ .\-][0-9]{5}"
    r"|1[3-9][0-9]{2}[ .\-][0-9]{3}[ .\-][0-9]{4}(?![ .\-][0-9])|1[3-9][0-9]{3}[ .\-][0-9]{3}[ .\-][0-9]{3}"
    r"|1[3-9][0-9]{5}[ .\-][0-9]{4}|1[3-9][0-9][ .\-][0-9]{8}"
)
FORM = re.compile(
    rf"{EDGE}{COUNTRY}(?:1[3-9][0-9]{{9}}|(?:{GROUPED})(?!-[0-9])|1(?:[ .\-]{{1,2}}[0-9]){{10}}(?![ .\-][0-9]\b))"
    r"(?![0-9A-Za-z_]|\.[0-9]|\s?(?:元|万|亿|美元|块|%|,[0-9]{3}\b))"
)
ASSIGNED = frozenset("3456789")


def find(page: Page) -> Iterator[Hit]:
    """Numbers of the form, unless the words before say order, amount and the like."""
    for match in page.near_digits(FORM, 11, CLOSE):
        if bare(match.group())[-10] in ASSIGNED and not is_held_off(page, match.start()):
            yield Hit(match.start(), match.end(), 0.95)


def canonical(text: str) -> str:
    """The eleven digits, without the country.

    >>> canonical("+86 138-0013-8000")
    '13800138000'
    """
    return bare(text)[-11:]


RECOGNISERS.add("mobile_cn", Recogniser("mobile_cn", "phone", find, canonical, min_digits=11))
