"""Passport numbers, after a word for passport; there is no checksum in the printed number."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(
    r"(?:护照|護照|passport)[^0-9\n，。；;]{0,24}?(?<![A-Za-z0-9])(?P<number>[A-Za-z]{0,2} ?[0-9]{6,9}"
    r"|[A-Za-z][0-9]{2}[A-Za-z][0-9]{5}|[CFGHJK][0-9CFGHJKLMNPRTVWXYZ]{8})(?![0-9A-Za-z])",
    re.I,
)
NEXT = re.compile(r"[、,，/ ]{1,2}(?:和|及|and)? ?(?P<number>[A-Za-z]{1,2}[0-9]{7,8})(?![0-9A-Za-z])")
CHINESE = re.compile(r"(?<![0-9A-Za-z_\-])(?:E[A-HJ-NP-Z][0-9]{7}|[EG][0-9]{8})(?![0-9A-Za-z_\-])")
CONTEXT = re.compile(r"护照|護照|passport|证件|出境|签证|visa|旅行证", re.I)


WORDS = ("护照", "護照", "passport", "证件", "出境", "签证", "visa", "旅行证")


def find(page: Page) -> Iterator[Hit]:
    """Numbers after a word for passport, and Chinese ones with such a word or "document" near."""
    for match in page.near_digits(FORM):
        yield Hit(*match.span("number"), 0.9)
        if more := NEXT.match(page.text, match.end()):
            yield Hit(*more.span("number"), 0.8)
    for match in page.near_digits(CHINESE):
        if CONTEXT.search(page.before(match.start(), 40)) or CONTEXT.search(page.after(match.end())):
            yield Hit(match.start(), match.end(), 0.8)


RECOGNISERS.add("passport", Recogniser("passport", "passport", find, min_digits=4, words=WORDS))
