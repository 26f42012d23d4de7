"""Dates of birth: a date right after, or right before, words that say birth. Other dates are no personal data here."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

MONTHS = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct"
    r"(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
YEAR = r"(?:1[89]|20)[0-9]{2}"
DATE = (
    rf"(?:{YEAR} ?年 ?[01]?[0-9] ?月(?: ?[0-3]?[0-9] ?[日号])?|[0-9]{{2}}年[01]?[0-9]月(?:[0-3]?[0-9][日号])?"
    rf"|{YEAR}[\-/. ]{{1,2}}[01]?[0-9][\-/. ]{{1,2}}[0-3]?[0-9](?![0-9])|{YEAR}[01][0-9][0-3][0-9](?![0-9])"
    rf"|[0-3]?[0-9][\-/. ][01]?[0-9][\-/. ](?:{YEAR}|[0-9]{{2}})(?![0-9])"
    rf"|[01]?[0-9][\-/][0-3]?[0-9][\-/](?:{YEAR}|[0-9]{{2}})(?![0-9])"
    rf"|[0-3]?[0-9](?:st|nd|rd|th)?(?: of)?[ \-]{MONTHS}\.?,?[ \-]{YEAR}|{MONTHS}\.? [0-3]?[0-9](?:st|nd|rd"
    rf"|th)?,? {YEAR}"
    r"|[一二][八九〇零][零〇一二三四五六七八九]{2}年[一二三四五六七八九十]{1,2}月"
    r"(?:[一二三四五六七八九十]{1,3}[日号])?)"
)
AFTER = re.compile(
    r"(?:出生(?:日期|年月日?|时间)?|生日|诞辰|生于|\bD\.?O\.?B\.?|(?:date of )?birth(?: ?date|day)?|\bborn)(?:[ "
    r":=\-为是于在,（(【]"
    r"|on|is|was|日期|of|\))"
    "{0,5}"
    rf"(?P<date>{DATE})",
    re.I,
)
BEFORE = re.compile(rf"(?P<date>{DATE}) ?(?:出生|生[，。,;；\s）)]|生人)", re.I)


WORDS = ("出生", "生日", "生于", "日生", "月生", "诞辰", "birth", "born", "dob", "d.o.b")


def find(page: Page) -> Iterator[Hit]:
    """Dates that the words beside them call a birthday."""
    for pattern in (AFTER, BEFORE):
        matches = pattern.finditer(page.text) if page.holds("〇", "一九", "二零") else page.near_digits(pattern)
        for match in matches:
            yield Hit(*match.span("date"), 0.85)


def canonical(text: str) -> str:
    """Digits with their order kept, months in lower case."""
    return "-".join(re.findall(r"[0-9]+|[a-z]{3}|[一-龥〇]", folded(text).lower()))


RECOGNISERS.add("birth_date", Recogniser("birth_date", "birth_date", find, canonical, words=WORDS))
