"""Parts of a question that carry its meaning, letter by letter: a slip there would make another question. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, get_args

from graftwork.data.script import HAN

Part = Literal["digits", "numerals", "negations", "names", "acronyms", "answers", "code"]
"""digits with their signs and units' signs; numerals in words; negations; names (English: words in capitals within a
sentence; Chinese: of persons); words with capitals or digits within; possible answers; links, mail, code, formulas and
placeholders."""

Span = tuple[int, int]
ALL: frozenset[Part] = frozenset(get_args(Part))
LONGEST_ANSWER = 60
"""Characters of an answer that is looked for in a question; a longer one does not stand there."""

_LATIN = "A-Za-z\u00c0-\u024f"
_FORMS: dict[Part, re.Pattern[str]] = {
    "digits": re.compile(
        r"[-+−]?[$€£¥￥]?[\d０-９](?:[\d０-９.,:/％%‰×x*^-]*[\d０-９％%‰])?(?:\s?[°℃℉Ωµ]+[CF]?)?[%％‰]?"
    ),
    "numerals": re.compile(
        r"[零〇一二三四五六七八九十百千万亿萬億两兩半几倍第壹贰叁肆伍陆柒捌玖拾]+|\b(?:zero|one|two|three|four|five|six|seven"
        r"|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
        r"|hundreds?|thousands?|millions?|billions?|half|twice|double|triple|dozens?|first|second|third|quarters?|once)\b",
        re.I,
    ),
    "negations": re.compile(
        r"[不没沒无無非未勿莫别別否]|\b(?:not?|nor|none|never|neither|nothing|nobody|cannot|without|unless|except|excluding"
        rf"|least|most|more|less|fewer|false|true|incorrect|wrong)\b|\b[{_LATIN}]+n['’]t\b",
        re.I,
    ),
    "names": re.compile(rf"(?<=[{_LATIN},;'’-]\s)[A-Z\u00c0-\u00de][{_LATIN}'’]+|(?<=[^\x00-\x7f])[A-Z][{_LATIN}]+"),
    "acronyms": re.compile(
        rf"(?<![{_LATIN}\d])(?=[{_LATIN}\d-]*(?:[A-Z][{_LATIN}\d-]*[A-Z]|\d|[a-z][A-Z]))[{_LATIN}\d-]+"
    ),
    "code": re.compile(
        r"https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+|`[^`]*`|\$[^$\n]+\$|\{[^{}\n]*\}|<[^<>\n]+>|\\[A-Za-z]+|[#@]\w+|\w+_\w+"
    ),
}
_ALONE = re.compile(rf"(?<![{_LATIN}\d])[B-HJ-Z](?![{_LATIN}\d])")
"""One capital: an option's letter, a vitamin, a name in a proof."""


def protected(text: str, parts: frozenset[Part], answers: Sequence[str] = ()) -> list[Span]:
    """Where the parts of those kinds stand in `text`: in order, none within or beside another.

    >>> [text for text in ["Give 2.5 mg to Ann, not B12"] for text in spelled(text, protected(text, ALL))]
    ['2.5', 'Ann', 'not', 'B12']
    """
    return merged(sorted(span for part in parts for span in _found(text, part, answers)))


def spelled(text: str, spans: Sequence[Span]) -> list[str]:
    """What stands at those places."""
    return [text[start:end] for start, end in spans]


def merged(spans: Sequence[Span]) -> list[Span]:
    """Sorted places with those that touch made one.

    >>> merged([(0, 2), (1, 4), (6, 7)])
    [(0, 4), (6, 7)]
    """
    told: list[Span] = []
    for start, end in spans:
        if told and start <= told[-1][1]:
            told[-1] = (told[-1][0], max(end, told[-1][1]))
        elif start < end:
            told.append((start, end))
    return told


def each_open(text: str, spans: Sequence[Span], edit: Callable[[str], str]) -> str:
    """`text` with every stretch between the places in `spans` edited.

    >>> each_open("ab1cd", [(2, 3)], str.upper)
    'AB1CD'
    """
    told, at = "", 0
    for start, end in (*spans, (len(text), len(text))):
        told += edit(text[at:start]) + text[start:end]
        at = end
    return told


def is_open(spans: Sequence[Span], start: int, end: int) -> bool:
    """Whether nothing of `start` to `end` lies in those places."""
    return all(end <= from_ or to <= start for from_, to in spans)


def _found(text: str, part: Part, answers: Sequence[str]) -> Iterator[Span]:
    if part == "answers":
        for pattern in _answer_patterns(tuple(answers)):
            yield from (match.span() for match in pattern.finditer(text))
        return
    yield from (match.span() for match in _FORMS[part].finditer(text))
    if part == "acronyms":
        yield from (match.span() for match in _ALONE.finditer(text))
    if part == "names" and HAN.search(text):
        yield from _persons_zh(text)


def _persons_zh(text: str) -> list[Span]:
    from graftwork.data.privacy.page import Page  # its lists are read when it is loaded
    from graftwork.data.privacy.recognisers.person_zh import find

    page = Page(text)
    return [(hit.start, hit.end) for hit in find(page)] if len(page.text) == len(text) else []


@lru_cache(maxsize=256)
def _answer_patterns(answers: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    told = []
    for answer in answers:
        bare = answer.strip()
        if not 0 < len(bare) <= LONGEST_ANSWER:
            continue
        before = rf"(?<![{_LATIN}\d])" if re.match(rf"[{_LATIN}\d]", bare) else ""
        after = rf"(?![{_LATIN}\d])" if re.search(rf"[{_LATIN}\d]$", bare) else ""
        told.append(re.compile(before + re.escape(bare) + after, re.I))
    return tuple(told)
