"""Names in a text by rules: capitalised words of English, titles and organisations of Chinese. Pure.

What stands at the beginning of a sentence is capitalised anyway, so it counts only with a second capitalised word
behind it, and then that second word does. People of Chinese texts are found by the recognisers of personal data.
"""

import re
from collections.abc import Iterator
from functools import cache

from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import Recogniser

WORD = r"[A-Z][A-Za-z0-9'’&-]*"
CAPITALISED = re.compile(rf"{WORD}(?:\s(?:of the\s|of\s|de\s|van\s)?{WORD})*")
BEGINS = re.compile(r"(?:^|[.!?:;\n\"“”(*#>-])\s*$")
NO_NAME = frozenset(
    re.findall(
        r"\S+",
        " a an and answer are as at but by can context do does for from he her here his how i i'd i'll i'm"
        " i've if in is it its january february march april may june july august september october november"
        " december jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday"
        " saturday sunday mr mrs ms dr my no not note of ok on or our question she so that the their there"
        " these they this those to was we were what when where which who why will with yes you your am pm",
    )
)
TITLE = re.compile(r"《([^《》\n]{1,40})》")
ORGANISATION = re.compile(
    r"[\u4e00-\u9fff]{2,12}?(?:公司|集团|银行|大学|学院|医院|研究所|研究院|委员会|法院|出版社|博物馆|图书馆|基金会)"
)
CORE = 2
"""Characters before the last two of an organisation that tell it; more may be words in front of it."""


def names(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each name of `text` as it is written, and the pieces that a source must hold to support it.

    >>> list(names("The award went to Marie Curie. Paris was cold."))
    [('Marie Curie', ('marie', 'curie'))]
    """
    for match in CAPITALISED.finditer(text):
        words = [w for w in re.findall(WORD, match.group()) if w.lower() not in NO_NAME and not w.isupper()]
        if BEGINS.search(text[: match.start()]) and match.group().startswith(tuple(words[:1])):
            words = words[1:]
        if words:
            yield match.group(), tuple(piece(word) for word in words)
    for match in TITLE.finditer(text):
        yield match.group(), (match[1].casefold(),)
    for match in ORGANISATION.finditer(text):
        kind = 3 if match.group()[-3:] in ("研究所", "研究院", "委员会", "出版社", "博物馆", "图书馆", "基金会") else 2
        yield match.group(), (match.group()[-kind - CORE :],)
    page = Page(text)
    for recogniser in _of_people():
        for hit in recogniser.find(page):
            written = text[hit.start : hit.end]
            yield written, (written,)


def piece(word: str) -> str:
    """A word as it is looked for in a source: small, without the ending of a possessive."""
    return re.sub(r"['’]s?$", "", word).casefold()


@cache
def _of_people() -> tuple[Recogniser, ...]:
    from graftwork.data.privacy.choice import chosen

    return tuple(by for by in chosen(("person",)) if by.is_han)
