"""homophones: some Chinese characters are others of the same sound and tone, as an input method by sound offers them.

A character's sound is that in its word (pypinyin); the others come from the 3,755 usual ones (GB 2312, level 1).
Never touched: numerals, negations, names of persons, possible answers (`protect`); nor are numerals and negations put
in, nor two characters side by side changed.
"""

import re
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from graftwork.data.script import HAN
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Perturbation, on_question
from graftwork.evaluation.perturbations.protect import Span, is_open
from graftwork.evaluation.perturbations.words import replaced

ONE_IN = 12
"""A character for so many, one at least."""

MOST = 4
_NEVER_PUT_IN = re.compile(r"[零〇一二三四五六七八九十百千万亿两半几倍第壹贰叁肆伍陆柒捌玖拾不没无非未勿莫别否]")
EACH: Any = list
"""What stands for a stretch without sounds: an entry a character. The package's types know of text alone."""

_LEVEL_ONE = range(0xB0, 0xD8)


def homophones(text: str, spans: Sequence[Span], drawn: Random) -> str | None:
    """`text` with some characters of the same sound; None where no character has such a one."""
    sounds = _sounds(text)
    places = [at for at in range(len(text)) if HAN.match(text[at]) and is_open(spans, at, at + 1)]
    wanted = min(MOST, -(-len(places) // ONE_IN))
    edits: dict[Span, str] = {}
    for at in drawn.sample(places, len(places)):
        if len(edits) == wanted:
            break
        others = [one for one in _of_sound().get(sounds[at], "") if one != text[at]]
        if others and not {(at - 1, at), (at + 1, at + 2)} & edits.keys():
            edits[at, at + 1] = drawn.choice(others)
    return replaced(text, edits) if edits else None


def _sounds(text: str) -> list[str]:
    """The sound of each character, with its tone; of one that has none, the character."""
    from pypinyin import Style, pinyin

    told = pinyin(text, style=Style.TONE3, errors=EACH)
    return [one[0] for one in told]


@cache
def _of_sound() -> dict[str, str]:
    from pypinyin import Style, pinyin

    usual = "".join(bytes(pair).decode("gb2312") for pair in _level_one())
    told: dict[str, str] = {}
    for one in usual:
        if not _NEVER_PUT_IN.match(one):
            sound = pinyin(one, style=Style.TONE3)[0][0]
            told[sound] = told.get(sound, "") + one
    return told


def _level_one() -> list[tuple[int, int]]:
    rows = ((high, low) for high in _LEVEL_ONE for low in range(0xA1, 0xFF))
    return [pair for pair in rows if pair < (0xD7, 0xFA)]  # the last row of the level is not full


PERTURBATIONS.add(
    "homophones",
    Perturbation(
        name="homophones",
        about="Some Chinese characters are others of the same sound and tone.",
        scripts=("zh", "zh + latin"),
        severity="seen",
        disturb=on_question(homophones),
        needs="pypinyin",
    ),
)
