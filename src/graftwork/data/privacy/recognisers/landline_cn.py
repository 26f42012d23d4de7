"""Land-line numbers of mainland China, with area code, extension, or after words such as "telephone".

Hotlines (95588, 400-800-8888, 12345) belong to organisations and are left alone.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

AREA = r"(?:10|2[0-57-9]|[3-9][0-9]{2})"
EXTENSION = r"(?:\s?(?:转|分机号?|ext\.?|x)[ :]?[0-9]{1,6}|-[0-9]{1,5}(?![0-9-]))?"
LOCAL = r"[2-9][0-9]{2,3}[ .\-]?[0-9]{4}"
FORM = re.compile(
    rf"[+(0](?<![0-9A-Za-z_+].)(?<![0-9][.\-/].)(?:(?:(?<=\+)|(?<=0)0)86[ -]?\(?0?{AREA}\)?"
    rf"|(?<=\()\+?86\)[ -]?0?{AREA}|(?<=\()0{AREA}\)|(?<=0){AREA})"
    rf"[ .\-]{{0,2}}{LOCAL}{EXTENSION}(?![0-9A-Za-z_]|-[0-9]|\.[0-9])",
    re.I,
)
BARE = re.compile(
    r"(?:电话|座机|固话|传真|热线|联系方式|tel|phone|fax)(?:号码|号)?[ :是为]{0,4}(?P<number>[2-8][0-9]{2,3}[ "
    r"-]?[0-9]{4}" + EXTENSION + r")(?![0-9]|-[0-9])",
    re.I,
)


def find(page: Page) -> Iterator[Hit]:
    """Numbers with an area code, and seven or eight digits that are called a telephone number."""
    for match in page.near_digits(FORM, 10, CLOSE):
        if not is_held_off(page, match.start()):
            yield Hit(match.start(), match.end(), 0.85)
    for match in page.near_digits(BARE, 7):
        if not bare(match["number"]).startswith(("400", "800")):
            yield Hit(*match.span("number"), 0.8)


def canonical(text: str) -> str:
    """The digits with area code, without the country.

    >>> canonical("+86 10 6552 9988") == canonical("(010)65529988")
    True
    """
    number = bare(text)
    number = (
        re.sub(r"^(?:0086|86)0?(?=[1-9])", "", number) if text.lstrip(" (").startswith(("+", "00", "86")) else number
    )
    return number.removeprefix("0")


RECOGNISERS.add("landline_cn", Recogniser("landline_cn", "phone", find, canonical, min_digits=7))
