"""National insurance numbers of the United Kingdom: two letters, six digits, a letter from A to D."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(
    r"(?<![0-9A-Za-z])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ \-]?(?:[0-9]{2}[ "
    r"\-]?){3}[A-D](?![0-9A-Za-z])",
    re.I,
)
CONTEXT = re.compile(r"national insurance|\bNI\b|nino", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Numbers of the form in capitals, or in any case after words that say what they are."""
    for match in page.near_digits(FORM, 6, CLOSE):
        if match.group().isupper() or CONTEXT.search(page.before(match.start(), 40)):
            yield Hit(match.start(), match.end(), 0.9)


RECOGNISERS.add("uk_nino", Recogniser("uk_nino", "uk_nino", find, min_digits=6, is_coded=True))
