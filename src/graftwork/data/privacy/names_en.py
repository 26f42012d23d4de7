"""Whether capitalised words are a name of a person in English text, without looking at what stands around them."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from graftwork.data.privacy.lists import sections, word_set

PARTICLES = word_set("person_en.txt", "particles of names")
GIVEN, SURNAME, USUAL, PLACE, EPONYM, DOUBTFUL, KNOWN, LONE = (1 << bit for bit in range(8))
"""What a word may be. Known are parts of names that are nothing else; lone, given names enough by themselves."""

PART = GIVEN | SURNAME
PLAIN_LETTERS = str.maketrans("łŁøØđĐßıæÆ", "lLoOdDsiaA")
SUFFIXES = frozenset({"Jr", "Sr", "II", "III", "IV"})
JOINED = re.compile("-[a-z]{5}")
NO_SURNAMES = word_set("person_en.txt", "usual words that are no surnames")
UNLIKE = re.compile(
    r"(?:itis|osis|emia|[cnr]oma|pathy|tomy|scopy|plasty|ations?|ness|ology|ical|asms?|ional|ulin|cillin|mycin|tions?"
    r"|sions?|graphy|metry|lysis|trophy|ility|ivity|atives?|cious|nists?|ases?|genes?|hydrate|uric|emic|ular"
    r"|ants|oid|ural|eous)$"
)
"""Endings of words of science, which names do not have."""


@cache
def traits() -> dict[str, int]:
    """What each word of the lists may be."""
    told: dict[str, int] = {}
    usual = [word.capitalize() for word in " ".join(sections("words_en.txt")["words"]).split()]
    lists = {heading: " ".join(lines).split() for heading, lines in sections("person_en.txt").items()}
    for bit, words in (
        (GIVEN, lists["given"]),
        (SURNAME, lists["surnames"]),
        (USUAL, usual),
        (PLACE, lists["places and firms"]),
        (EPONYM, lists["eponyms"]),
        (DOUBTFUL, lists["words"]),
    ):
        for word in words:
            told[word] = told.get(word, 0) | bit
    return {word: _completed(word, bits) for word, bits in told.items()}


def _completed(word: str, bits: int) -> int:
    if bits & USUAL and bits & PART:
        bits |= DOUBTFUL
    if bits & PART and not bits & (DOUBTFUL | USUAL):
        bits |= KNOWN
    return bits | LONE if bits & GIVEN and not bits & (DOUBTFUL | PLACE | USUAL) and len(word) > 2 else bits


def plain(word: str) -> str:
    """A part of a name as the lists have it: no accents, no dots of initials, no apostrophe, one capital.

    >>> plain("García"), plain("O'CONNOR"), plain("Łukasz")
    ('Garcia', 'Oconnor', 'Lukasz')
    """
    if not word.isascii():
        apart = unicodedata.normalize("NFKD", word.translate(PLAIN_LETTERS))
        word = "".join(character for character in apart if not unicodedata.combining(character))
    word = word.replace("'", "").replace(".", "")
    return word.capitalize() if len(word) > 1 and word.isupper() else word


def kind(word: str) -> int:
    """What a capitalised word may be, as bits; 0 of a word in no list."""
    known = traits()
    told = known.get(word)
    if told is not None:
        return told
    if word[1:].islower() and word.isalpha() and word.isascii():
        return 0
    return known.get(plain(word), 0)


def _kinds(word: str) -> int:
    """The same; of a word with a hyphen, what its parts may be."""
    told = kind(word)
    if "-" in word:
        for piece in word.split("-"):
            told |= kind(piece)
    return told


def is_common(word: str) -> bool:
    """Whether a word is usual in English, or a place, and in no list of names."""
    told = kind(word)
    return bool(told & (USUAL | PLACE)) and not told & PART


def is_name(words: Sequence[str]) -> bool:
    """Whether two or more capitalised words are a name: at least one part is known and none is a usual word.

    >>> is_name(["Siobhan", "Quillfeather"]), is_name(["Apple", "Watch"]), is_name(["Will", "You"])
    (True, False, False)
    """
    parts = [word for word in words if word not in PARTICLES and word not in SUFFIXES]
    full = [word for word in parts if len(word) > 1]
    if not full:
        return False
    told = [kind(word) for word in full]
    surely_given = is_surname_after(full[0], full[-1]) and len(full) == len(words) == 2
    if any(bits & (USUAL | PLACE) and not bits & PART for bits in (told[:-1] if surely_given else told)):
        return False
    if not told[0] & GIVEN and all(kind(piece) & EPONYM for word in full for piece in word.split("-")):
        return False
    if _is_pinyin(full, told):
        return True
    return _has_known_part(full, told, has_initial=len(full) < len(parts))


def is_surname_after(given: str, word: str) -> bool:
    """Whether a usual word with a capital is a surname for the given name before it: "Jeremy Ball"."""
    told = kind(word)
    is_noun = told & USUAL and not told & PLACE and 2 < len(word) < 9 and word not in NO_SURNAMES
    return bool(kind(given) & LONE and is_noun and word[1:].islower() and not UNLIKE.search(word))


def _has_known_part(full: list[str], told: list[int], *, has_initial: bool) -> bool:
    sure = any(_kinds(word) & KNOWN for word in full)
    if len(full) == 1:
        return has_initial and (sure or bool(told[0] & SURNAME))
    if sure:
        if any(UNLIKE.search(word) and not bits for word, bits in zip(full, told, strict=True)):
            return False
        return bool(told[0] & GIVEN) or not all(bits & (PLACE | DOUBTFUL) for bits in told)
    return bool(told[0] & GIVEN and told[-1] & SURNAME) and not (told[0] & PLACE and told[-1] & PLACE)


def _is_pinyin(full: list[str], told: list[int]) -> bool:
    if not 2 <= len(full) <= 3 or not (told[0] | told[-1]) & SURNAME:
        return False
    if all(bits & (USUAL | DOUBTFUL) for bits in told):
        return False
    return all(_is_syllables(plain(word).lower()) for word in full)


@cache
def _syllables() -> frozenset[str]:
    return word_set("person_en.txt", "pinyin syllables")


def _is_syllables(word: str) -> bool:
    known = _syllables()
    word = word.replace("-", "")
    return word in known or any(word[:cut] in known and word[cut:] in known for cut in range(1, len(word)))


def is_dropped(word: str, *, first: bool) -> bool:
    """Whether a word at an end is no part of a name: usual, and no given name in front, no part of a name behind."""
    if len(word) == 1:
        return word in ("I", "A")
    told = kind(word)
    if told & (USUAL | PLACE) and not told & PART:
        return True
    if not told & USUAL or told & GIVEN:
        return False
    return first or not told & SURNAME


def is_unheard(words: Sequence[str], *, doubtful_too: bool = False) -> bool:
    """Whether no word is usual, a place, a firm, an eponym or of science: nothing speaks against a name.

    Args:
        doubtful_too: whether given names and surnames that are usual words as well may stand first and last.
    """
    full = [word for word in words if len(word) > 1 and word not in PARTICLES]
    if len({word.isupper() for word in full}) > 1:
        return False
    for at, word in enumerate(words):
        if word not in full:
            continue
        told = kind(word)
        is_part = told & (SURNAME if at else GIVEN)
        if told & (USUAL | PLACE | EPONYM | DOUBTFUL) and not (doubtful_too and is_part and at in (0, len(words) - 1)):
            return False
        if not told and (JOINED.search(word) or UNLIKE.search(word) or not plain(word).replace("-", "").isalpha()):
            return False
    return True
