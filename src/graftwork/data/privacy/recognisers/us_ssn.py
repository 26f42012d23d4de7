"""Social security numbers of the United States, with dashes, or after words that say so.

Numbers that were never given out are not found: area 000 or 666, group 00, serial 0000.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

VALID = r"(?!000|666)[0-9]{3}"
DASHED = re.compile(rf"(?<![0-9A-Za-z_])(?<![0-9]-){VALID}-(?!00)[0-9]{{2}}-(?!0000)[0-9]{{4}}(?![0-9A-Za-z_]|-[0-9])")
TOLD = re.compile(
    rf"(?:\bssn|social security(?: number| no\.?)?|\btin\b|taxpayer id)[^0-9\n]{{0,16}}?(?P<number>{VALID}[ .]?"
    rf"(?!00)[0-9]{{2}}[ .]?(?!0000)[0-9]{{4}})(?![0-9A-Za-z_])",
    re.I,
)


def find(page: Page) -> Iterator[Hit]:
    """Dashed numbers anywhere; others where the words before say what they are."""
    for match in page.near_digits(DASHED, 9, CLOSE) if page.text.count("-") > 1 else ():
        yield Hit(match.start(), match.end(), 0.9)
    for match in page.near_digits(TOLD, 9) if page.holds("ssn", "social sec", "tin", "taxpayer") else ():
        yield Hit(*match.span("number"), 0.9)


RECOGNISERS.add("us_ssn", Recogniser("us_ssn", "us_ssn", find, min_digits=9))
