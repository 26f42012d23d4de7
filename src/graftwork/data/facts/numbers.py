"""Numbers in a text, each as one value however it is written. Pure.

"1,200", "1200.0", "1.2 thousand", "twelve hundred", "一千二百", "1200元" are all 1200; "12%", "12 percent" and
"百分之十二" are 12%.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from graftwork.data.facts.chinese import RUN, is_plain, scaled, value_of

ARABIC = re.compile(
    r"(?<![A-Za-z0-9_.])(?:[A-Z]{0,3}[$€£¥])?(?P<number>\d{1,3}(?:[,，]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:\s?(?P<unit>thousand|million|billion|hundred|[千百万亿])(?![a-z]))?(?P<percent>\s?(?:%|％|per ?cent))?",
    re.I,
)
LIST_MARK = re.compile(r"^[ \t]*[(（]?\d{1,2}[.)）、](?=\s|[^\d\s])", re.M)
PERCENT_ZH = re.compile(rf"百分之(?P<number>{RUN.pattern}|\d+(?:\.\d+)?)")
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "hundred": 100}
SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {word: i for i, word in enumerate((*SMALL, *TEENS))} | {word: 10 * (i + 2) for i, word in enumerate(TENS)}
_ANY = "|".join([*WORDS, *SCALES])
_FIRST = f"{'|'.join(WORDS)}|(?<=\\ba )(?:{'|'.join(SCALES)})"
IN_WORDS = re.compile(rf"\b(?:{_FIRST})(?:(?:[ -]|,? and )(?:{_ANY}))*\b(?P<percent> per ?cent)?", re.I)


def numbers(text: str, *, every: bool = False) -> Iterator[tuple[str, str]]:
    """Each number of `text` in its one form, and as it is written.

    Args:
        every: also what may be none, such as "one" and 一: for a source, which is to support whatever it can.

    >>> list(numbers("Sales rose 12 percent to 1,200, or 三千零五十万元."))
    [('12%', '12 percent'), ('1200', '1,200'), ('30500000', '三千零五十万')]
    """
    rest = LIST_MARK.sub(lambda mark: " " * len(mark.group()), text)
    for match in PERCENT_ZH.finditer(rest):
        told = match["number"]
        value = value_of(told) if RUN.fullmatch(told) else Decimal(told)
        if value is not None:
            yield f"{_form(Decimal(value))}%", match.group()
    rest = PERCENT_ZH.sub(lambda match: " " * len(match.group()), rest)
    yield from _arabic(rest)
    yield from _in_words(rest, every)
    yield from _chinese(rest, every)


def _arabic(text: str) -> Iterator[tuple[str, str]]:
    for match in ARABIC.finditer(text):
        unit = (match["unit"] or "").lower()
        number = Decimal(match["number"].replace(",", "").replace("，", ""))
        value = scaled(number, unit) * SCALES.get(unit, 1)
        yield _form(value) + ("%" if match["percent"] else ""), match.group().strip()


def _in_words(text: str, every: bool) -> Iterator[tuple[str, str]]:
    for match in IN_WORDS.finditer(text):
        value = _value(re.findall(r"[a-z]+", match.group().lower()))
        if every or value > 10 or match["percent"]:
            yield f"{value}{'%' if match['percent'] else ''}", match.group()


def _value(words: list[str]) -> int:
    total = section = 0
    for word in words:
        if word in WORDS:
            section += WORDS[word]
        elif word == "hundred":
            section = (section or 1) * 100
        elif word in SCALES:
            total, section = total + (section or 1) * SCALES[word], 0
    return total + section


def _chinese(text: str, every: bool) -> Iterator[tuple[str, str]]:
    for match in RUN.finditer(text):
        before = text[match.start() - 1 : match.start()] if match.start() else ""
        value = None if before.isdigit() else value_of(match.group())  # 3万 is read with its digits
        if value is not None and (every or is_plain(match.group())):
            yield str(value), match.group()


def _form(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
