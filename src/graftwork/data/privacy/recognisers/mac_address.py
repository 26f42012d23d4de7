"""Hardware addresses of network devices: six pairs of hexadecimal digits."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

PAIRS = re.compile(
    r"(?<![0-9A-Za-z:\-])[0-9A-Fa-f]{2}(?P<gap>[:\-])(?:[0-9A-Fa-f]{2}(?P=gap)){4}[0-9A-Fa-f]{2}(?![0-9A-Za-z:]"
    r"|-[0-9A-Za-z])"
)
DOTTED = re.compile(r"(?<![0-9A-Za-z.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Za-z]|\.[0-9])")


def find(page: Page) -> Iterator[Hit]:
    """Six pairs with colons or dashes; three groups of four with dots where the words before say what they are."""
    if page.text.count(":") >= 5 or page.text.count("-") >= 5:
        for match in PAIRS.finditer(page.text):
            yield Hit(match.start(), match.end(), 0.9)
    if page.most_digits and page.holds("mac", "物理地址", "网卡", "ethernet"):
        for match in DOTTED.finditer(page.text):
            yield Hit(match.start(), match.end(), 0.8)


RECOGNISERS.add("mac_address", Recogniser("mac_address", "mac_address", find, min_digits=1))
