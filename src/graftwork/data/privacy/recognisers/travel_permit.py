"""Travel permits between the mainland, Hong Kong, Macau and Taiwan. No public checksum, so words before must say so."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

FORM = re.compile(
    r"(?:通行证|回乡证|回鄉證|台胞证|台胞證|港澳证|home return permit|travel permit|mainland permit)(?:号码|编号|号)?"
    r"[^0-9A-Za-z\n]{0,8}(?:(?:number|no\.?|is)[ :]{0,3})?(?P<number>(?:[HMhm] ?[0-9]{8}(?:[0-9]{2})?"
    r"|[CWLTcwlt][A-Za-z]?[0-9]{7,8}|[0-9]{8}(?:[0-9]{2})?(?:\([A-Z]\))?))(?![0-9A-Za-z])",
    re.I,
)


WORDS = ("行证", "乡证", "鄉證", "胞证", "胞證", "澳证", "permit")


def find(page: Page) -> Iterator[Hit]:
    """Numbers right after the name of such a permit."""
    for match in page.near_digits(FORM):
        yield Hit(*match.span("number"), 0.9)


RECOGNISERS.add("travel_permit", Recogniser("travel_permit", "travel_permit", find, min_digits=7, words=WORDS))
