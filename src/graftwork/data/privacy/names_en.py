"""Whether capitalised words are a name of a person in English text, without looking at what stands around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from graftwork.data.privacy.lists import sections

PARTICLES = frozenset(
    [
        "van",
        "von",
        "der",
        "den",
        "de",
        "da",
        "di",
        "del",
        "della",
        "la",
        "le",
        "du",
        "des",
        "dos",
        "ter",
        "ten",
        "bin",
        "ibn",
        "al",
        "el",
        "ben",
        "bint",
        "abu",
        "y",
    ]
)


@dataclass(frozen=True, slots=True)
class Tables:
    """Parts of names, and words that only look like them."""

    given: frozenset[str]
    surnames: frozenset[str]
    doubtful: frozenset[str]
    usual: frozenset[str]
    eponyms: frozenset[str]
    places: frozenset[str]
    syllables: frozenset[str]
    lone: frozenset[str]
    known: frozenset[str]


@cache
def tables() -> Tables:
    """The lists, read once."""
    told = {heading: frozenset(" ".join(lines).split()) for heading, lines in sections("person_en.txt").items()}
    usual = frozenset(word.capitalize() for word in " ".join(sections("words_en.txt")["words"]).split())
    doubtful, places = told["words"], told["places and firms"]
    return Tables(
        given=told["given"],
        surnames=told["surnames"],
        doubtful=doubtful | (usual & (told["given"] | told["surnames"])),
        usual=usual,
        eponyms=told["eponyms"],
        places=places,
        syllables=told["pinyin syllables"],
        lone=frozenset(n for n in told["given"] - doubtful - places - usual if len(n) > 2),
        known=(told["given"] | told["surnames"]) - doubtful - usual,
    )


def plain(word: str) -> str:
    """A part of a name as the lists have it: no initials' dots, no apostrophe, one capital."""
    bare = word.replace("'", "").replace(".", "")
    if bare.isupper() and len(bare) > 1:
        bare = bare.capitalize()
    return bare


def is_common(word: str) -> bool:
    """Whether a word is usual in English, or a place, and in no list of names."""
    known = tables()
    part = plain(word)
    names = part in known.given or part in known.surnames
    return (part.capitalize() in known.usual or part in known.places) and not names


def is_name(words: Sequence[str]) -> bool:
    """Whether two or more capitalised words are a name: at least one part is known and none is a usual word.

    >>> is_name(["Siobhan", "Quillfeather"]), is_name(["Apple", "Watch"]), is_name(["Will", "You"])
    (True, False, False)
    """
    parts = [plain(word) for word in words if word not in PARTICLES]
    full = [part for part in parts if len(part) > 1]
    known = tables()
    surely_given = bool(full) and full[0] in known.given and full[0] in known.known and full[-1] not in known.usual
    if not full or any(is_common(part) for part in (full[:-1] if surely_given else full)):
        return False
    if all(piece in known.eponyms for part in full for piece in part.split("-")) and full[0] not in known.given:
        return False
    if _is_pinyin(full):
        return True
    pieces = {piece for part in full for piece in (part, *part.split("-"))}
    has_initial = len(full) < len(parts)
    sure = pieces & known.known
    if len(full) == 1:
        return has_initial and (bool(sure) or full[0] in known.surnames)
    if sure:
        return full[0] in known.given or not all(part in known.places or part in known.doubtful for part in full)
    given_and_surname = full[0] in known.given and full[-1] in known.surnames
    return given_and_surname and (full[0] not in known.places or full[-1] not in known.places)


def _is_pinyin(parts: Sequence[str]) -> bool:
    known = tables()
    if not 2 <= len(parts) <= 3 or not any(part in known.surnames for part in (parts[0], parts[-1])):
        return False
    if all(part in known.usual or part in known.doubtful for part in parts):
        return False
    return all(_syllables(part.lower()) for part in parts)


def _syllables(word: str) -> bool:
    known = tables().syllables
    word = word.replace("-", "")
    return word in known or any(word[:cut] in known and word[cut:] in known for cut in range(1, len(word)))


def is_lone_name(word: str) -> bool:
    """Whether one capitalised word by itself is a given name and hardly anything else."""
    return word in tables().lone


def is_dropped(word: str, *, first: bool) -> bool:
    """Whether a word at an end is no part of a name: usual, and no given name in front, no part of a name behind."""
    known, part = tables(), plain(word)
    if word in ("I", "A") or (len(word) > 1 and is_common(word)):
        return True
    if part not in known.usual or part in known.known:
        return False
    return part not in known.given and (first or part not in known.surnames)


def is_unheard(words: Sequence[str], *, doubtful_too: bool = False) -> bool:
    """Whether no word is usual, a place, a firm or an eponym: nothing speaks against a name.

    Args:
        doubtful_too: whether given names and surnames that are usual words as well may stand first and last.
    """
    known = tables()
    for at, word in enumerate(words):
        part = plain(word)
        if word in PARTICLES or len(part) < 2:
            continue
        is_doubtful = part in known.usual or part in known.places or part in known.eponyms or part in known.doubtful
        is_part = part in (known.surnames if at else known.given)
        if is_doubtful and not (doubtful_too and is_part and at in (0, len(words) - 1)):
            return False
        if not part.isalpha() and not part.replace("-", "").isalpha():
            return False
    return True
