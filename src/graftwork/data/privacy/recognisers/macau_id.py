"""Macau identity cards: seven digits from 1, 5 or 7 and a check digit in brackets. Its rule is not public."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(r"[157](?<![0-9A-Za-z_.\-].)(?:[0-9]{6}|/[0-9]{6}/) ?(?:\([0-9]\)|[0-9](?![0-9A-Za-z]))")
CONTEXT = re.compile(r"澳门|澳門|身份|證|证件|macau|macao|BIR\b|identity", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Numbers of the form with brackets or slashes, or after words that say identity card."""
    for match in page.near_digits(FORM, 7, CLOSE):
        told = bool(CONTEXT.search(page.before(match.start())))
        if told or "(" in match.group() or "/" in match.group():
            yield Hit(match.start(), match.end(), 0.9 if told else 0.6)


RECOGNISERS.add("macau_id", Recogniser("macau_id", "macau_id", find, min_digits=7))
