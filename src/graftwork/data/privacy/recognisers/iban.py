"""International bank account numbers (IBAN): country, length and checksum hold.

Source: ISO 13616; the remainder by 97 is ISO 7064.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare

FORM = re.compile(r"(?<![0-9A-Za-z])(?=(?P<country>[A-Za-z]{2})[0-9]{2})[A-Za-z0-9](?:[ \-]?[A-Za-z0-9]){13,33}")
COUNTRIES = (
    "NO15 BE16 DK18 FI18 NL18 FO18 GL18 SI19 MK19 AT20 BA20 EE20 KZ20 LT20 LU20 XK20 MN20 HR21 LV21 CH21 LI21 BG22 BH22"
    " DE22 GB22 GE22 IE22 ME22 RS22 CR22 AE23 GI23 IL23 IQ23 OM23 SO23 TL23 AD24 CZ24 ES24 MD24 PK24 RO24 SA24 SE24"
    " SK24 TN24 VG24 PT25 ST25 IS26 TR26 FR27 GR27 IT27 MC27 SM27 MR27 BI27 DJ27 AL28 AZ28 BY28 CY28 DO28 GT28 HU28"
    " LB28 NI28 PL28 SV28 BR29 EG29 PS29 QA29 UA29 JO30 KW30 MU30 YE30 MT31 SC31 LC32 RU33"
)
"""Each country with the length of its account numbers."""

LENGTHS = {entry[:2]: int(entry[2:]) for entry in COUNTRIES.split()}


def find(page: Page) -> Iterator[Hit]:
    """Account numbers of the length of their country whose checksum holds."""
    for match in page.near_digits(FORM, 6):
        length = LENGTHS.get(match["country"].upper())
        if length is None:
            continue
        places = [at for at in range(*match.span()) if page.text[at] not in " -"]
        if len(places) >= length and is_valid(bare(page.text[match.start() : places[length - 1] + 1])):
            yield Hit(match.start(), places[length - 1] + 1, 1.0, proven=True)


def is_valid(number: str) -> bool:
    """Whether the two check digits belong to the rest.

    >>> is_valid("GB82WEST12345698765432")
    True
    """
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1


RECOGNISERS.add("iban", Recogniser("iban", "iban", find, min_digits=6, is_coded=True))
