"""Mobile numbers of mainland China written out in Chinese numerals: "幺三八零零幺三八零零零"."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

NUMERALS = "零〇一二三四五六七八九幺"
FORM = re.compile(rf"(?<![{NUMERALS}])[一幺][三四五六七八九][{NUMERALS}]{{9}}(?![{NUMERALS}十百千万亿])")
DIGITS = str.maketrans(NUMERALS, "001234567891")


def find(page: Page) -> Iterator[Hit]:
    """Eleven numerals that begin like a mobile number."""
    for match in FORM.finditer(page.text):
        yield Hit(match.start(), match.end(), 0.9)


def canonical(text: str) -> str:
    """The eleven digits.

    >>> canonical("幺三八零零幺三八零零零")
    '13800138000'
    """
    return text.translate(DIGITS)


RECOGNISERS.add(
    "mobile_spoken", Recogniser("mobile_spoken", "phone", find, canonical, is_han=True, words=("幺", "零", "〇"))
)
