"""Names of persons in English, and in other texts that are written in Latin letters.

Capitalised words that follow each other are a name when one of them is a known given name or surname and none a usual
word, a place or a firm; when what stands before announces one ("Dr.", "Patient:", "my name is", "Regards,"); or, for
words in no list, when what stands before and after them is what surrounds persons. Found are also names in small
letters after "my name is", "SMITH, John", a given name by itself, and parts of a name that the text holds in full. A
title counts as part of the mention.
"""

import re
from collections.abc import Iterator

from graftwork.data.privacy.lists import word_set
from graftwork.data.privacy.names_en import (
    DOUBTFUL,
    EPONYM,
    GIVEN,
    KNOWN,
    PART,
    PARTICLES,
    PLACE,
    SUFFIXES,
    SURNAME,
    USUAL,
    is_dropped,
    is_name,
    is_surname_after,
    is_unheard,
    kind,
    traits,
)
from graftwork.data.privacy.names_en import (
    LONE as ALONE,
)
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser
from graftwork.data.privacy.surroundings_en import (
    FIRM,
    NAMED_AFTER,
    OF_BODY,
    PERSONAL,
    THING,
    WRITER,
    is_announced,
    is_likely,
    is_personal,
    is_sure,
)

LETTERS = [chr(code) for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))]
CAPITAL = "A-Z" + "".join(letter for letter in LETTERS if letter.isupper())
SMALL = "a-z\u0300-\u036f" + "".join(letter for letter in LETTERS if letter.islower())
PARTICLE = r"(?:(?:van|von|der|den|de|da|di|del|della|du|dos|ter|bin|ibn|al|el|bint|abu|la|le) |(?:al|el|ul|d|l)['-])"


def _sequence(capital: str, small: str) -> re.Pattern[str]:
    """Words with capitals that follow each other, with particles and the dots of initials and titles between."""
    word = rf"[{capital}][{small}{capital}]*(?:['-][{small}{capital}]+)*"
    return re.compile(
        rf"[{capital}](?<![0-9A-Za-z{small}_@#/'-].)[{small}{capital}]*(?:['-][{small}{capital}]+)*"
        rf"(?:(?: |(?<=\b[A-Z])\. ?|(?<=\b[DM]r)\. |(?<=\bM[rs]s)\. |(?<=\bMs)\. |(?<=\bProf)\. )"
        rf"(?:{PARTICLE}){{0,2}}{word}){{0,5}}"
    )


PLAIN_SEQUENCE = _sequence("A-Z", "a-z")
SEQUENCE = _sequence(CAPITAL, SMALL)
WORD = rf"[{CAPITAL}][{SMALL}{CAPITAL}]*(?:['-][{SMALL}{CAPITAL}]+)*"
TITLES = word_set("person_en.txt", "titles")
GREETINGS = word_set("person_en.txt", "greetings and farewells")
LAST_WORDS = word_set("person_en.txt", "words right before a name")
NAMELIKE = re.compile(rf"[{CAPITAL}][{SMALL}{CAPITAL}'-]*[{SMALL}]{{2}}")
GIVEN_AFTER = re.compile(rf", (?P<given>{WORD})(?: [A-Z]\b\.?)?(?![A-Za-z]| [A-Z][a-z])")
EDGE_BEFORE, EDGE_AFTER = re.compile(r"[0-9A-Za-z_@#/.'-]"), re.compile(r"[A-Za-z0-9_-]")
PIECE = re.compile(r"[^ .]+\.?")
LONE, LISTED, ANNOUNCED = 0.6, 0.75, 0.85


def find(page: Page) -> Iterator[Hit]:
    """Names by their parts and by what stands around them."""
    text = page.text
    full: list[Hit] = []
    told = traits()
    for match in (PLAIN_SEQUENCE if text.isascii() else SEQUENCE).finditer(text):
        words = match.group()
        start, end = match.span()
        if " " not in words and not told.get(words, 0) & ALONE and not _may_be_led(text, start, end):
            continue
        for hit in _names_in(text, start, end):
            if hit.score > LONE:
                full.append(hit)
            yield hit
    if full:
        yield from _again(text, full)


def _may_be_led(text: str, start: int, end: int) -> bool:
    """Whether a single word may be a name for what stands around it. Cheap, and never wrong when it says no."""
    before = text[max(0, start - 2) : start]
    if before[-1:] in '\n:="' or before in (": ", ", ", "= ") or text[end : end + 2] == ", ":
        return True
    return (
        (before[-1:] == " " and text[max(0, start - 5) : start - 1].rpartition(" ")[2] in LAST_WORDS)
        or "'s" in text[start:end]
        or not text[start:end].isascii()
    )


def _names_in(text: str, start: int, end: int) -> Iterator[Hit]:
    """Names among capitalised words that follow each other."""
    if " " not in text[start:end]:
        pieces = [(start, end, text[start:end].rstrip("."))]
    else:
        pieces = [(start + m.start(), start + m.end(), m.group().rstrip(".")) for m in PIECE.finditer(text[start:end])]
    first = 0
    led, is_role = None, False
    for at, (_, _, word) in enumerate(pieces[:-1]):
        if word in TITLES:
            led = at if led is None or at != first else led
            first = at + 1
        elif word in GREETINGS:
            first, led = at + 1, None
        elif at == first and led is None and word.lower() in PERSONAL and not kind(word) & PART:
            first, is_role = at + 1, True
    if led is not None:
        yield _titled(pieces, led, first)
        return
    name = _trimmed(pieces[first:])
    if name is not None:
        hit = _judged(text, name, is_greeted=first > 0 and not is_role)
        if hit is not None:
            yield hit


def _titled(pieces: list[tuple[int, int, str]], led: int, first: int) -> Hit:
    """What follows a title, initials and one word at least, up to a possessive."""
    while len(pieces[first][2]) == 1 and first + 1 < len(pieces):
        first += 1
    last = first + 1
    while (
        last < len(pieces) and not pieces[last - 1][2].endswith("'s") and not is_dropped(pieces[last][2], first=False)
    ):
        last += 1
    word = pieces[last - 1][2]
    return Hit(pieces[led][0], pieces[last - 1][0] + len(word.removesuffix("'s").removesuffix("'")), 0.9)


def _trimmed(pieces: list[tuple[int, int, str]]) -> list[tuple[int, int, str]] | None:
    """Without usual words and particles at both ends, and without an 's, which ends a name."""
    kept: list[tuple[int, int, str]] = []
    for begin, end, word in pieces:
        bare = word.removesuffix("'s").removesuffix("'S").removesuffix("'") if "'" in word else word
        kept.append((begin, end if bare == word else begin + len(bare), bare))
        if bare != word:
            break
    while kept and (is_dropped(kept[0][2], first=True) or kept[0][2] in PARTICLES):
        kept.pop(0)
    while kept and (is_dropped(kept[-1][2], first=len(kept) == 1) or kept[-1][2] in PARTICLES):
        if len(kept) == 2 and is_surname_after(kept[0][2], kept[1][2]) and not FIRM.match(f" {kept[1][2]}"):
            break
        kept.pop()
    return kept or None


def _judged(text: str, name: list[tuple[int, int, str]], *, is_greeted: bool) -> Hit | None:
    """The name, if its words or its surroundings say that it is one."""
    start, end = name[0][0], name[-1][0] + len(name[-1][2])
    words = [word for *_, word in name]
    after = text[end : end + 32]
    if after[:1] in (" ", "-", "'") and (THING.match(after) or FIRM.match(after)):
        return None
    if len(words) == 1 and after[:2] == ", " and (inverted := _inverted(text, end, words[-1])):
        return Hit(name[-1][0], inverted, LISTED)
    if len(words) > 1 and _is_heard(words):
        return Hit(start, end + (words[-1] in SUFFIXES and text[end : end + 1] == "."), LISTED)
    before = text[max(0, start - 40) : start]
    if not _is_acronym(words) and (is_announced(before) or _is_led(before, after, words, is_greeted=is_greeted)):
        return Hit(start, end, ANNOUNCED)
    if len(words) == 1 and kind(words[0]) & ALONE and not NAMED_AFTER.match(after) and not OF_BODY.search(before):
        return Hit(start, end, LONE)
    return None


def _is_heard(words: list[str]) -> bool:
    if all(word.isupper() for word in words) and not all(kind(w) & PART for w in words if len(w) > 1):
        return bool(kind(words[0]) & ALONE) and all(len(word) > 2 for word in words) and is_name(words)
    return is_name(words)


def _is_led(before: str, after: str, words: list[str], *, is_greeted: bool) -> bool:
    """Whether words in no list, or in doubt, are a name for what stands around them."""
    if is_greeted or is_sure(before):
        return all(kind(word) & KNOWN for word in words) or is_unheard(words, doubtful_too=len(words) > 1)
    if len(words) == 1 or (len(words) == 2 and len(words[1]) == 1):
        return False
    if WRITER.match(after):
        return True
    if not is_unheard(words, doubtful_too=True):
        return False
    if any(len(word) == 1 for word in words[1:-1]) or is_likely(before, after):
        return True
    is_plain = all(NAMELIKE.fullmatch(word) or word in PARTICLES for word in words)
    return is_plain and is_personal(before, after)


def _is_acronym(words: list[str]) -> bool:
    return all(word.isupper() and len(word) < 6 and not kind(word) & KNOWN for word in words)


def _inverted(text: str, end: int, surname: str) -> int | None:
    """Where "SMITH, John A." ends, when that is what it is."""
    match = GIVEN_AFTER.match(text, end)
    if match is None or not kind(match["given"]) & GIVEN or surname in TITLES:
        return None
    told = kind(surname)
    if surname.isupper() and len(surname) > 2 and not is_dropped(surname, first=True):
        return match.end()
    return match.end() if told & SURNAME and told & KNOWN and not told & GIVEN else None


def _again(text: str, found: list[Hit]) -> Iterator[Hit]:
    """Other places of surnames and given names of the full names found."""
    parts = {
        word
        for hit in found
        for word in re.split(r"[ ,.]+", text[hit.start : hit.end])
        if len(word) > 2 and word[0].isupper() and word not in TITLES and not word[1:3].isupper()
        and not kind(word) & (USUAL | EPONYM | PLACE | DOUBTFUL) and text.count(word) > 1
    }  # fmt: skip
    for part in sorted(parts):
        at = text.find(part)
        while at >= 0:
            end = at + len(part)
            is_whole = not (EDGE_BEFORE.match(text[at - 1 : at]) or EDGE_AFTER.match(text[end : end + 1]))
            if is_whole and not (THING.match(text, end) or FIRM.match(text, end)):
                yield Hit(at, end, LONE)
            at = text.find(part, end)


def canonical(text: str) -> str:
    """Small letters, given name first, without title.

    >>> canonical("SMITH, John"), canonical("Dr. John  Smith")
    ('john smith', 'john smith')
    """
    words = folded(text).replace(".", "").split()
    while len(words) > 1 and words[0].capitalize() in TITLES:
        words.pop(0)
    surname, comma, given = " ".join(words).partition(", ")
    return (f"{given} {surname}" if comma else surname).lower()


RECOGNISERS.add("person_en", Recogniser("person_en", "person", find, canonical, str.title, is_latin=True))
