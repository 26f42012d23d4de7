"""Numbers in Chinese characters. Pure.

A number is a sum of sections (below 万, 万, 亿), a section a sum of digits times 千, 百, 十; or digits one by one, as
years are written: 二〇二四.
"""

import re
from decimal import Decimal

DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
FORMAL = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟萬億", "一二三四五六七八九十百千万亿")
UNITS = {"十": 10, "百": 100, "千": 1000}
SECTIONS = {"万": 10**4, "亿": 10**8}
RUN = re.compile("[零〇一二两兩三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟萬億]+")
FEWEST_ONE_BY_ONE = 4


def value_of(written: str) -> int | None:
    """The number that a run of numerals is; None for one that is none.

    >>> value_of("三千零五十"), value_of("两万五千"), value_of("二〇二四"), value_of("十二"), value_of("万一")
    (3050, 25000, 2024, 12, None)
    """
    text = written.translate(FORMAL)
    if not any(c in UNITS or c in SECTIONS for c in text):
        return int("".join(str(DIGITS[c]) for c in text))
    total, section, digit = 0, 0, None
    for c in text:
        if c in DIGITS:
            digit = DIGITS[c]
        elif c in UNITS:
            section += (1 if digit is None and c == "十" else digit or 0) * UNITS[c]
            digit = None
        else:
            section += digit or 0
            if not section and not total:
                return None  # 万一, 千万: a word, no number
            total = (total + section) * SECTIONS[c] if c == "亿" else total + section * SECTIONS[c]
            section, digit = 0, None
    return total + section + (digit or 0) or None


def is_plain(written: str) -> bool:
    """Whether a run is a number for sure: 一 in 一个 or 十 in 十分 need not be one.

    >>> [is_plain(run) for run in ("一", "二〇二四", "三十", "一一")]
    [False, True, True, False]
    """
    if any(c in UNITS or c in SECTIONS for c in written.translate(FORMAL)):
        return len(written) > 1
    return len(written) >= FEWEST_ONE_BY_ONE


def scaled(number: Decimal, unit: str) -> Decimal:
    """A number with a unit behind it, such as 3.5万."""
    return number * {**UNITS, **SECTIONS}.get(unit, 1)
