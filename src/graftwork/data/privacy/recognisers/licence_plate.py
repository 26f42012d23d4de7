"""Licence plates of mainland China: province, letter, five characters, or six for new-energy vehicles.

Source: GA 36-2018.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Za-hj-np-z][·•.・ \-]{0,2}"
    r"(?P<rest>(?:[DFdf][A-HJ-NP-Za-hj-np-z0-9][0-9]{4}|[0-9]{5}[DFdf])"
    r"|[A-HJ-NP-Za-hj-np-z0-9]{4}[A-HJ-NP-Za-hj-np-z0-9警学挂港澳])(?![0-9A-Za-z])"
)


def find(page: Page) -> Iterator[Hit]:
    """Plates with at least two digits, so that no word of five letters is one."""
    for match in FORM.finditer(page.text):
        if sum(character.isdecimal() for character in match["rest"]) >= 2:
            yield Hit(match.start(), match.end(), 0.9)


RECOGNISERS.add("licence_plate", Recogniser("licence_plate", "licence_plate", find, min_digits=1, is_han=True))
