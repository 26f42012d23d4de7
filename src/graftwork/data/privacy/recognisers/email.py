"""E-mail addresses, also with a full-width sign and written out: "name at host dot com"."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

NAME = r"[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}"
HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,18}(?![A-Za-z0-9-])"
PLAIN = re.compile(rf"(?<![A-Za-z0-9._%+\-]){NAME} ?@ ?{HOST}")
AT = r"(?: ?[(\[{<] ?(?:at|AT|@) ?[)\]}>] ?| (?:at|AT) |\s?艾特\s?|#)"
DOT = r"(?: ?[(\[{<] ?(?:dot|DOT|\.) ?[)\]}>] ?| (?:dot|DOT) |\s?点\s?|\.)"
TOP = r"(?:com|net|org|edu|gov|cn|io|co|uk|de|fr|hk|tw|info|me|us|ai|app|dev)"
SPELT = re.compile(
    rf"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9][A-Za-z0-9_%+\-]*(?:{DOT}[A-Za-z0-9_%+\-]+){{0,3}}{AT}"
    rf"[A-Za-z0-9\-]+(?:{DOT}[A-Za-z0-9\-]+){{0,2}}?{DOT}{TOP}(?:{DOT}{TOP})?(?![A-Za-z0-9])"
)
SPELT_HINT = re.compile(r"(?: dot | DOT |[(\[{<] ?(?:at|AT|@|dot|DOT) ?[)\]}>]|艾特|点com|点cn|#[A-Za-z0-9]+\.)")


def find(page: Page) -> Iterator[Hit]:
    """Addresses with a sign between name and host, and addresses spelt in words."""
    at = page.text.find("@")
    end = 0
    while at >= 0:
        for match in PLAIN.finditer(page.text, max(end, at - 66), min(len(page.text), at + 255)):
            yield Hit(match.start(), match.end(), 0.99)
            end = match.end()
        at = page.text.find("@", max(at + 1, end))
    if not page.holds(" dot ", "[at", "(at", "{at", "(@", "[@", "艾特", "点com", "点cn", "#"):
        return
    for hint in SPELT_HINT.finditer(page.text):
        for match in SPELT.finditer(page.text, max(0, hint.start() - 80), min(len(page.text), hint.end() + 80)):
            yield Hit(match.start(), match.end(), 0.8)


def canonical(text: str) -> str:
    """Lower case with plain signs.

    >>> canonical("Li.Lei at Example dot com")
    'li.lei@example.com'
    """
    plain = re.sub(AT, "@", folded(text), count=1)
    return re.sub(rf"{DOT}| ", lambda m: "" if m.group() == " " else ".", plain).lower()


RECOGNISERS.add("email", Recogniser("email", "email", find, canonical, is_latin=True))
