"""Street addresses in English: house number, street, flat, town, state and post code; British post codes; PO boxes."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

STREET = (
    r"(?:Street|St|Avenue|Ave?|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter"
    r"|Parkway|Pkwy|Highway|Hwy|Way|Close|Crescent|Cres|Gardens?|Grove|Mews|Row|Hill|Park|Circle|Cir|Trail|Trl|Alley"
    r"|Plaza|Walk|View|Rise|Broadway|Green|Loop|Path|Pike|Crossing|Heights|Ridge|Run|Bend|Brook|Causeway|Cove|Creek"
    r"|Esplanade|Expressway|Freeway|Glen|Harbou?r|Hollow|Knolls?|Landing|Manor|Meadows?|Orchard|Oval|Parade|Pass"
    r"|Passage|Quay|Ramp|Roads|Route|Spur|Station|Turnpike|Valley|Villas?|Wharf|Yard|Wynd|Gate)\b\.?"
)
WORD = r"[A-Z0-9][A-Za-z0-9'.\-]*"
ROOM = r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Studio|Lot|Bldg|Building|#)"
UNIT = rf"(?:,? ?{ROOM}\.? ?#?[0-9A-Za-z\-]{{1,6}})?"
POSTCODE = r"[A-Z]{1,2}[0-9]{1,2}[A-Z]? ?[0-9][A-Z]{2}"
ZIP = r"[A-Z]{2},? [0-9]{5}(?:-[0-9]{4})?|(?:NSW|VIC|QLD|TAS|ACT|SA|WA|NT) [0-9]{4}"
TOWN = (
    rf"(?:,? ?\n?(?:[A-Z][A-Za-z.'\-]+ ?){{1,4}}(?=,|\n| [A-Z]{{2}} [0-9]|{POSTCODE}))?(?:,? ?\n?(?:[A-Z]{{2}}"
    rf"|[A-Z][a-z]+(?: [A-Z][a-z]+)?),? ?(?=[0-9]{{5}}))?(?:,? ?\n?(?:[0-9]{{5}}(?:-[0-9]{{4}})?|{POSTCODE})\b)?"
)
FORM = re.compile(
    rf"(?<![0-9A-Za-z$£€.,\-/])(?:{ROOM}\.? [0-9A-Za-z]{{1,5}},? "
    rf")?[0-9]{{1,6}}[A-Za-z]?,? (?:[NSEW]\.? |North |South |East |West )?(?:{WORD} ){{1,4}}?{STREET}(?: "
    rf"[NSEW]{{1,2}}\b\.?)?{UNIT}{TOWN}"
)
LOWER = re.compile(
    r"(?:live[sd]? at|living at|address(?: is|:)|(?:deliver(?:ed)?|sen[dt] it|sent|moved|mail(?:ed)?) to"
    r"|ship(?:ped)? to|reside[sd]? at)\s{1,2}"
    rf"(?P<address>[0-9]{{1,6}}[a-z]? (?:[a-z0-9'.\-]+ ){{1,4}}?(?i:{STREET})(?:,? [a-z ]{{2,20}},? [a-z]{{2}} "
    rf"[0-9]{{5}})?)",
    re.I,
)
BOX = re.compile(r"\bP\.? ?O\.? Box [0-9]{1,6}" + TOWN, re.I)
WORDS = (
    " st", " av", " rd", " road", " blvd", " boul", " lane", " ln", " dr", " court", " ct", " place", " pl",
    " sq", " terr", " ter", " park", " pk", " highw", " hw", " way", " close", " cres", " gard", " grov",
    " mews", " row", " hill", " circ", " cir", " trail", " trl", " alley", " plaz", " walk", " view", " rise",
    " broadw", " green", " loop", " path", " pike", " cross", " heigh", " ridge", " run", " bend", " brook",
    " cause", " cove", " creek", " espl", " express", " freew", " glen", " harb", " hollow", " knoll",
    " landing", " manor", " meadow", " orch", " oval", " parade", " pass", " quay", " ramp", " route", " spur",
    " station", " turnp", " valley", " villa", " wharf", " yard", " wynd", " gate", " box",
)  # fmt: skip
"""Beginnings of the words for streets, and boxes."""

HINT = re.compile(r"[0-9]{1,6}[A-Za-z]?,? (?:[NSEW]\. )?[A-Z0-9]")
PART_OF_TEXT = re.compile(r"(?:section|page|chapter|part|article|figure|table|clause|step|verse|volume|no)\.? $", re.I)


def find(page: Page) -> Iterator[Hit]:
    """Addresses that begin with a house number, post office boxes, and post codes that are called so."""
    yield from _by_street(page)
    if page.holds(" at ", " to ", "address", "deliver", "ship"):
        yield from (Hit(*m.span("address"), 0.7) for m in LOWER.finditer(page.text))
    if page.holds("ox "):
        yield from (Hit(m.start(), m.end(), 0.8) for m in BOX.finditer(page.text))


def _by_street(page: Page) -> Iterator[Hit]:
    end = 0
    for hint in HINT.finditer(page.text):
        if hint.start() < end:
            continue
        match = FORM.search(page.text, max(0, hint.start() - 18), min(len(page.text), hint.end() + 160))
        if match and match.start() <= hint.start() and not PART_OF_TEXT.search(page.before(match.start(), 10)):
            end = match.end()
            yield Hit(match.start(), match.end(), 0.8)


RECOGNISERS.add("address_en", Recogniser("address_en", "address", find, min_digits=1, is_latin=True, words=WORDS))
