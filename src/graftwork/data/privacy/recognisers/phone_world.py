"""Telephone numbers of the rest of the world: with a country code, and the usual forms of North America and Britain.

Numbers with a country code are checked against the numbering plans that `phonenumbers` carries.
"""

import re
from collections.abc import Iterator
from functools import cache

from graftwork.data.privacy.page import CLOSE, Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser, bare, is_held_off

EXTENSION = r"(?:[ ,]{0,2}(?:x|ext\.?|extension|转)[ .:]?[0-9]{1,6})?"
EXTENSION_END = re.compile(r"(?:x|ext|extension|转).*$", re.I)
ABROAD = re.compile(
    rf"[+0](?<![0-9A-Za-z_+].)(?:(?<=\+)|0(?=[1-9]))[ ]?[0-9](?:[ .\-()/]{{0,2}}[0-9]){{6,14}}{EXTENSION}(?![0-9])",
    re.I,
)
AREA, REST = r"[2-9][0-9]{2}\)[ .\-]?[0-9]{3}[ .\-]?[0-9]{4}", r"[0-9]{3}(?:(?P=%s)|-)[0-9]{4}"
AMERICAN = re.compile(
    r"[+(0-9](?<![0-9A-Za-z_$£€¥#].)(?<![0-9][.\-/].)"
    rf"(?:(?:(?<=\+)1|(?<=0)01|(?<=1))[ .\-](?:\({AREA}|[2-9][0-9]{{2}}(?P<abroad>[.\-/ ]){REST % 'abroad'})"
    rf"|(?<=\(){AREA}|(?<=[2-9])[0-9]{{2}}(?P<gap>[.\-/ ]){REST % 'gap'}){EXTENSION}(?![0-9A-Za-z_]|[.\-][0-9])",
    re.I,
)
BRITISH = re.compile(
    r"[(0](?<![0-9A-Za-z_].)(?<![0-9][.\-/].)(?:(?:(?<=\()0[1-9][0-9]{1,4}\)[ -]?|(?<=0)[1-9][0-9]{1,4}[ -])"
    r"[0-9]{3,4}[ -]?[0-9]{3,4}(?:[ ][0-9]{2,3})?(?![0-9A-Za-z_]|[ .\-][0-9])|(?<=0)7[0-9]{9}(?![0-9A-Za-z_]))"
)
FREE = ("400", "800", "(800)", "(888)", "1-800", "1 800", "888-", "877-", "0800", "0845")
"""Beginnings of numbers that cost the caller nothing: those of organisations."""


def find(page: Page) -> Iterator[Hit]:
    """Numbers that some country could have given out, and numbers that are called a telephone number."""
    for match in page.near_digits(ABROAD, 8, CLOSE):
        if _is_possible(match.group()):
            yield Hit(match.start(), match.end(), 0.95)
    for pattern in (AMERICAN, BRITISH):
        for match in page.near_digits(pattern, 10, CLOSE):
            if match.group().startswith(FREE):
                continue
            if 10 <= len(re.sub(r"(?i)[x转e].*$", "", bare(match.group()))) <= 14 and not is_held_off(
                page, match.start()
            ):
                yield Hit(match.start(), match.end(), 0.8)


def _is_possible(written: str) -> bool:
    """Whether the digits after the country code are as many as that country gives out."""
    number = EXTENSION_END.sub("", written).replace("(0)", "")
    digits = bare(number).removeprefix("00")
    return any(len(digits) - size in lengths_in(int(digits[:size])) for size in (1, 2, 3))


@cache
def lengths_in(country: int) -> frozenset[int]:
    """How many digits a number has in a country, by its calling code; none where there is no such code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    lengths: set[int] = set()
    for region in COUNTRY_CODE_TO_REGION_CODE.get(country, ()):
        told = PhoneMetadata.metadata_for_region_or_calling_code(country, region)
        lengths.update(told.general_desc.possible_length if told and told.general_desc else ())
    return frozenset(lengths)


def canonical(text: str) -> str:
    """The digits; North American numbers without their country.

    >>> canonical("+1 (415) 555-2671") == canonical("415.555.2671")
    True
    """
    number = bare(text)
    number = number.removeprefix("00")
    return number[1:] if len(number) == 11 and number.startswith("1") else number


RECOGNISERS.add("phone_world", Recogniser("phone_world", "phone", find, canonical, min_digits=8))
