"""Street addresses in English: house number, street, flat, town, state and post code; British post codes; PO boxes."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter"
    r"|Parkway|Pkwy|Highway|Hwy|Way|Close|Crescent|Gardens?"
    r"|Grove|Mews|Row|Hill|Park|Circle|Cir|Trail|Trl|Alley|Plaza|Walk|View|Rise|Broadway|Green|Loop|Path|Pike"
    r"|Crossing|Heights|Ridge|Run)\b\.?"
)
WORD = r"[A-Z0-9][A-Za-z0-9'.\-]*"
UNIT = r"(?:,? ?(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|#)\.? ?#?[0-9A-Za-z\-]{1,6})?"
POSTCODE = r"[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}"
TOWN = (
    rf"(?:,? ?\n?(?:[A-Z][A-Za-z.'\-]+ ?){{1,4}}(?=,|\n| [A-Z]{{2}} [0-9]|{POSTCODE}))?(?:,? ?\n?(?:[A-Z]{{2}}"
    rf"|[A-Z][a-z]+(?: [A-Z][a-z]+)?),? ?(?=[0-9]{{5}}))?(?:,? ?\n?(?:[0-9]{{5}}(?:-[0-9]{{4}})?|{POSTCODE})\b)?"
)
FORM = re.compile(
    rf"(?<![0-9A-Za-z$£€.,\-/])(?:(?:Flat|Unit|Apartment|Apt|Suite)\.? [0-9A-Za-z]{{1,5}},? "
    rf")?[0-9]{{1,6}}[A-Za-z]?,? (?:[NSEW]\.? |North |South |East |West )?(?:{WORD} ){{1,4}}?{STREET}(?: "
    rf"[NSEW]{{1,2}}\b\.?)?{UNIT}{TOWN}"
)
UNHEARD = re.compile(
    rf"(?<![0-9A-Za-z$£€.,\-/])[0-9]{{1,6}} (?:{WORD} ){{0,3}}{WORD}{UNIT},\s"
    r"(?:[A-Z][A-Za-z.'\-]+ ){0,3}[A-Z][A-Za-z.'\-]+"
    r", ?[A-Z]{2} [0-9]{5}(?:-[0-9]{4})?(?![0-9])"
)
"""A street of any name is one when town, state and post code follow."""

LOWER = re.compile(
    r"(?:live[sd]? at|living at|address(?: is|:)|deliver(?:ed)? to|ship(?:ped)? to|reside[sd]? at)\s{1,2}"
    rf"(?P<address>[0-9]{{1,6}}[a-z]? (?:[a-z0-9'.\-]+ ){{1,4}}?(?i:{STREET})(?:,? [a-z ]{{2,20}},? [a-z]{{2}} "
    rf"[0-9]{{5}})?)",
    re.I,
)
BOX = re.compile(r"\bP\.? ?O\.? Box [0-9]{1,6}" + TOWN, re.I)
CODE = re.compile(rf"(?<![0-9A-Za-z]){POSTCODE}(?![0-9A-Za-z])")
HINT = re.compile(r"[0-9]{1,6}[A-Za-z]?,? (?:[NSEW]\.? )?[A-Z0-9]")
CODE_CONTEXT = re.compile(r"post ?code|postal|address|, ?$|\n$", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Addresses that begin with a house number, post office boxes, and post codes that are called so."""
    end = 0
    for hint in HINT.finditer(page.text):
        if hint.start() < end:
            continue
        begin = max(0, hint.start() - 18)
        limit = min(len(page.text), hint.end() + 160)
        match = FORM.search(page.text, begin, limit) or UNHEARD.match(page.text, hint.start(), limit)
        if match and match.start() <= hint.start():
            end = match.end()
            yield Hit(match.start(), match.end(), 0.8)
    if page.holds(" at ", "address", "deliver", "ship"):
        yield from (Hit(*m.span("address"), 0.7) for m in LOWER.finditer(page.text))
    if "ox " in page.text or "OX " in page.text:
        yield from (Hit(m.start(), m.end(), 0.8) for m in BOX.finditer(page.text))
    for match in CODE.finditer(page.text) if page.holds("post", "address", ", ") else ():
        if CODE_CONTEXT.search(page.before(match.start(), 16)):
            yield Hit(match.start(), match.end(), 0.6)


RECOGNISERS.add("address_en", Recogniser("address_en", "address", find, min_digits=1, is_latin=True))
