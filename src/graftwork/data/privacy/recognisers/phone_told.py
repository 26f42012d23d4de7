"""Telephone numbers of any form right after words that call them one: "call", "fax", "电话"."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare
from graftwork.data.privacy.recognisers.phone_world import FREE, canonical

TOLD = re.compile(
    r"(?:phone|tel|mobile|cell|call(?:ed|ing)?|text|fax|whatsapp|contact|reach|dial|ring|\bmob|电话|手机|联系"
    r"|致电)[^0-9\n]{0,24}?"
    r"(?P<number>\(?[0-9][0-9 .\-()]{5,15}[0-9])(?![0-9A-Za-z_]|[.\-][0-9])",
    re.I,
)
WORDS = (
    "phone", "tel", "mob", "cell", "call", "text", "fax", "whatsapp", "contact", "reach", "dial", "ring",
    "电话", "手机", "联系", "致电",
)  # fmt: skip
DATE = re.compile(r"(?:19|20)[0-9]{2}[ .\-/]?[0-9]{1,2}[ .\-/]?[0-9]{1,2}$|[0-9]{1,2}[ .\-/][0-9]{1,2}[ .\-/][0-9]{4}$")


def find(page: Page) -> Iterator[Hit]:
    """Ten to twelve digits in groups, but for dates and numbers that are free to call."""
    for match in page.near_digits(TOLD, 10):
        number = match["number"]
        if 10 <= len(bare(number)) <= 12 and not number.startswith(FREE) and not DATE.match(number):
            yield Hit(*match.span("number"), 0.7)


RECOGNISERS.add("phone_told", Recogniser("phone_told", "phone", find, canonical, min_digits=10, words=WORDS))
