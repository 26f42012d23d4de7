"""A text as it is meant to be read: what hides a word from a list is undone. Pure.

Undone are full and half width, accents and strokes over letters, invisible characters, letters of other alphabets that
look like Latin ones, traditional characters, letters drawn out, digits that stand for letters, and signs or spaces
between the letters of a word. Not undone: letters left out or starred (f*ck), words cut by other words, pinyin.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ALIKE = {
    "a": "аɑαᴀ",
    "b": "Ьвβ",
    "c": "сϲ",
    "d": "ԁ",
    "e": "еєε",
    "g": "ɡ",
    "h": "һн",
    "i": "іιї",
    "j": "ј",
    "k": "кκ",
    "l": "ӏⅼ",
    "m": "мμ",
    "n": "ոпη",
    "o": "оοσ",
    "p": "րрρ",
    "q": "ԛ",
    "r": "г",
    "s": "ѕ",
    "t": "тτ",
    "u": "υцս",
    "v": "νѵ",
    "w": "ѡω",
    "x": "хχ",
    "y": "уүγ",
    "z": "ᴢ",
}
"""Letters of Greek, Cyrillic, Armenian and phonetic alphabets that look like a Latin one."""

LOOK_ALIKES = str.maketrans({other: letter for letter, others in ALIKE.items() for other in others})
LOOSE = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "€": "e"}
LEET = tuple(str.maketrans({**LOOSE, "1": one, "!": one, "|": one}) for one in "il")
LEET_WORD = re.compile(r"[a-z0-9@$€!|]*[a-z][a-z0-9@$€!|]*")
LEET_SIGN = re.compile(r"[0134578@$€!|]")
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
DRAWN_OUT = re.compile(r"([a-z])\1{2,}")
CLAUSES = r"，。！？；：、,!?;:“”‘’\"'()（）《》〈〉【】\[\]"
BETWEEN_HAN = re.compile(rf"(?<=[{HAN}])(?:[ \t\u3000]|[^\w\s{CLAUSES}])+(?=[{HAN}])")
IN_WORD = re.compile(r"(?<=[a-z])[.\-_*·'~|/\\+^]{1,2}(?=[a-z])")
SPELT = re.compile(rf"(?<![a-z0-9])[a-z0-9@$](?:[^a-z0-9@${HAN}\n]{{1,3}}[a-z0-9@$]){{2,}}(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class Readings:
    """The ways in which one text can be read.

    Attributes:
        whole: texts in which words stand between borders.
        spelt: runs of single letters put together; a word may stand anywhere in them.
    """

    whole: tuple[str, ...]
    spelt: tuple[str, ...]


def readings(text: str) -> Readings:
    """Every reading of `text`, each once.

    >>> readings("Ｆ.o.o b4r").whole
    ('f.o.o b4r', 'f.o.o bar', 'foo b4r')
    >>> readings("f o o").spelt
    ('foo',)
    """
    plain = folded(text)
    loose = [_unleeted(plain, table) for table in LEET]
    spelt = [re.sub(r"[^a-z0-9@$]", "", run.group()) for run in SPELT.finditer(plain)]
    unspelt = [run.translate(table) for run in spelt for table in LEET]
    return Readings(
        whole=tuple(dict.fromkeys([plain, *loose, IN_WORD.sub("", plain)])),
        spelt=tuple(dict.fromkeys([*spelt, *unspelt])),
    )


def folded(text: str) -> str:
    """`text` in small plain letters and simplified characters, without what is not seen, nothing between Han ones.

    >>> folded("Ｈéllo\u200b wоrld，笨 * 蛋，繁體")
    'hello world，笨蛋，繁体'
    """
    if text.isascii():
        return DRAWN_OUT.sub(r"\1", text.lower())
    wide = text.translate(KEPT_WIDE)
    seen = "".join(c for c in unicodedata.normalize("NFKD", wide) if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    plain = unicodedata.normalize("NFC", seen).casefold().translate(LOOK_ALIKES).translate(simplified())
    return BETWEEN_HAN.sub("", DRAWN_OUT.sub(r"\1", plain.translate(BACK_WIDE)))


WIDE_SIGNS = "，。！？；：、（）"
KEPT_WIDE: Mapping[int, int] = {ord(sign): 0xE000 + i for i, sign in enumerate(WIDE_SIGNS)}
BACK_WIDE: Mapping[int, int] = {0xE000 + i: ord(sign) for i, sign in enumerate(WIDE_SIGNS)}
"""Signs that end a Chinese clause stay what they are: a word does not go on behind them."""


@cache
def simplified() -> Mapping[int, str]:
    """For each traditional character its simplified one."""
    lines = files(__package__).joinpath("lists/simplified.txt").read_text("utf-8").splitlines()[1:]
    return {ord(a): b for old, new in zip(lines[::2], lines[1::2], strict=True) for a, b in zip(old, new, strict=True)}


def _unleeted(text: str, table: Mapping[int, str | int]) -> str:
    """`text` with letters for the digits and signs that stand for them, in words that have a letter too."""

    def read(match: re.Match[str]) -> str:
        word = match.group()
        return word.translate(table) if LEET_SIGN.search(word) else word

    return LEET_WORD.sub(read, text)
