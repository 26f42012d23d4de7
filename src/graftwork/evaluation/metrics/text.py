"""What two texts are compared by: forms without differences of writing, and the units that are counted. Pure.

A unit is a word, a number or, of Chinese, Japanese and Korean, a character: `rouge-score` and SQuAD's F1 drop or glue
those, so that two Chinese answers are either equal or have nothing in common.
"""

import re
from collections.abc import Sequence

DENSE = "\u2e80-\u312f\u3190-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Characters of Chinese, Japanese and Korean, and what stands among them, as part of a character class."""

_WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_UNIT = re.compile(rf"\d+(?:[.,]\d+)+|[^\W_{DENSE}]+(?:['’][^\W_{DENSE}]+)*|[{DENSE}]")
_SIGNS = re.compile(r"[\u3000-\u3029\u302e-\u3030\u303d\u30fb]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DASHES = re.compile(r"[-\u2010-\u2015\u2212]")
_PUNCTUATION = re.compile(
    r"(?<!\d)[.:]|[.:](?!\d)"  # 1.5 and 10:30 are not 15 and 1030
    r"|-(?!\d)|(?<=[^\W\d_])-"  # -5 is not 5
    r"|[,;!?'\"()\[\]{}<>`*_~|…‘’“”«»‹›、。〈〉《》「」『』【】〔〕〖〗·・]"
)
_BESIDE_DENSE = re.compile(rf"(?<=[{DENSE}]) | (?=[{DENSE}])")


def tidy(text: str) -> str:
    """`text` with single blanks for white space, none at the ends.

    >>> tidy("  a \\n b ")
    'a b'
    """
    return " ".join(text.split())


def halved(text: str) -> str:
    """`text` with Latin letters, digits and signs of full width in half width.

    >>> halved("ＡＢＣ　１２３！")
    'ABC 123!'
    """
    return text.translate(_WIDTHS)


def loose(text: str) -> str:
    """`text` without differences of case, width, punctuation and white space. Numbers keep what makes their value.

    >>> loose(" Ｙｅｓ， “it is”. "), loose("约 1,200.5 元。"), loose("-5"), loose("follow-up")
    ('yes it is', '约1200.5元', '-5', 'follow up')
    """
    plain = _DASHES.sub("-", halved(text).casefold())
    plain = _PUNCTUATION.sub(" ", _THOUSANDS.sub("", plain))
    return _BESIDE_DENSE.sub("", tidy(plain))


def units(text: str) -> list[str]:
    """The words, numbers and Chinese characters of `text` in order, whatever their case and width.

    >>> units("服用 Vitamin B12，每天2.5克。"), units("It's ok")
    (['服', '用', 'vitamin', 'b12', '每', '天', '2.5', '克'], ["it's", 'ok'])
    """
    return _UNIT.findall(_SIGNS.sub(" ", halved(text).casefold()))


def ngrams(sequence: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """All runs of `order` neighbours, in order.

    >>> ngrams("abc", 2)
    [('a', 'b'), ('b', 'c')]
    """
    return list(zip(*(sequence[at:] for at in range(order)), strict=False))
