"""Addresses in English that end in a post code: from the code back to the number of the house or flat; military ones.

A street of any name is one when a state with its code, or a British post code, follows.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser
from graftwork.data.privacy.recognisers.address_en import POSTCODE, ROOM, ZIP

NUMBERED = re.compile(
    rf"(?<![0-9A-Za-z$£€#.,\-/])(?:{ROOM}\.? ?[0-9A-Za-z]{{1,5}},?[ \n](?:[0-9]{{1,6}}[A-Za-z]?,?[ \n])?"
    r"|[0-9]{1,6}[A-Za-z]?,?[ \n])"
    r"(?:(?:[A-Z0-9#][A-Za-z0-9'.#\-]*|[a-z]{3,11}|of|on|le)(?:, ?\n?| ?\n| )){1,14}?"
    rf"(?:{ZIP}|{POSTCODE})(?![0-9A-Za-z])"
)
"""From a number to a post code; small letters are streets' ("Williams mill"), few, and counted afterwards."""

ANCHOR = re.compile(rf"(?<![0-9A-Za-z])(?:{ZIP}|{POSTCODE})(?![0-9A-Za-z])")
SMALL_WORD = re.compile(r"(?<= )[a-z]{4,}")
MILITARY = re.compile(
    r"\b(?:(?:PSC|CMR|Unit) [0-9]+,? (?:Box )?[0-9]+"
    r"|(?:Unit|USN[SV]|USCGC|USS) [A-Z0-9][a-z0-9]*(?: Box [0-9]+)?)[, \n]{1,2}"
    r"(?:[AFD]PO),? A[AEP] [0-9]{5}"
)
CODE_CONTEXT = re.compile(r"post ?code|postal|address|, ?$|\n$", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Addresses read back from their post code to the number of the house; post codes by themselves."""
    if page.holds("po a"):
        yield from (Hit(m.start(), m.end(), 0.8) for m in MILITARY.finditer(page.text))
    last = 0
    for code in ANCHOR.finditer(page.text):
        begin = max(last, code.start() - 110)
        found = [m for m in NUMBERED.finditer(page.text, begin, code.end()) if m.end() == code.end()]
        found = [m for m in found if len(SMALL_WORD.findall(m.group())) <= 2]
        if found:
            last = code.end()
            yield Hit(found[0].start(), last, 0.85)
        elif code.group()[-1].isalpha() and CODE_CONTEXT.search(page.before(code.start(), 16)):
            yield Hit(code.start(), code.end(), 0.6)


RECOGNISERS.add("address_code_en", Recogniser("address_code_en", "address", find, is_latin=True, is_coded=True))
