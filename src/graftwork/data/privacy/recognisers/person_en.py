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
from graftwork.data.privacy.names_en import PARTICLES, is_dropped, is_lone_name, is_name, is_unheard, plain, tables
from graftwork.data.privacy.page import Page, folded
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser

CAPITAL = "A-ZÀ-ÖØ-ÞŁŚŠŽČĆŐŰİĐ"
SMALL = "a-zà-öø-ÿłśšžčćąęńźżőűığşđāēīōūảạăắằặấầậẩếềệễểịỉĩọỏốồộổỗớờợởỡụủứừựửữỳỵỷỹ"
WORD = rf"[{CAPITAL}][{SMALL}{CAPITAL}]*(?:['-][{SMALL}{CAPITAL}]+)*"
PARTICLE = r"(?:van|von|der|den|de|da|di|del|della|du|dos|ter|bin|ibn|al|el|bint|abu|la|le) "
SEQUENCE = re.compile(
    rf"(?<![0-9A-Za-z{SMALL}_@#/'-]){WORD}(?:(?: |(?<=\b[A-Z])\. ?|(?<=\b[DM]r)\. |(?<=\bM[rs]s)\. |"
    rf"(?<=\bMs)\. |(?<=\bProf)\. )(?:{PARTICLE}){{0,2}}{WORD}){{0,5}}"
)
TITLES = word_set("person_en.txt", "titles")
GREETINGS = word_set("person_en.txt", "greetings and farewells")
TITLED_LOWER = re.compile(r"\b(?:mr|mrs|ms|dr|prof)\.? (?P<name>[a-z][a-z'-]{1,20}(?: [a-z][a-z'-]{2,20})?)")
LABEL = re.compile(
    r"(?:^|[\s,;|(\"])(?:(?:patient|client|customer|contact|applicant|beneficiary|account holder|card ?holder"
    r"|policy ?holder|insured|physician|attending|doctor|employee|tenant|landlord|signed|signed by|attn"
    r"|attention|from|to|cc|author"
    r"|agent|manager|witness|buyer|seller|borrower|lender|guarantor|next of kin|spouse|mother|father|guardian"
    r"|plaintiff|defendant|claimant|respondent|payee|payer|sender|recipient|owner|member|student|teacher|nurse"
    r"|provider"
    r"|referred by|reviewed by|prepared by|approved by|reported by|assigned to|caller|user|driver|passenger"
    r"|guest|surgeon|candidate|interviewer|subject|complainant|full|first|last|given|family|middle|maiden|legal"
    r"|billing|shipping)(?:'s)?(?: ?name)?|name)"
    r"\s?[:=]\s{0,3}$",
    re.I,
)
SURE = re.compile(
    r"(?:\bname(?:'s| is|d| of)|\bcall(?:ed)? me|\b(?:speak|speaking|spoke) (?:to|with)|\bask for|\bthis is"
    r"|\b[Mm]y (?:wife|husband|son|daughter|mother|father|brother|sister|colleague|friend|boss|lawyer|partner"
    r"|doctor|boyfriend|girlfriend|mom|mum|dad),?(?: is|'s name is)?"
    r"|(?:[Rr]egards|[Ss]incerely|[Tt]hanks|[Cc]heers|[Yy]ours(?: truly| faithfully| sincerely)?|[Ww]ishes"
    r"|[Rr]espectfully|[Dd]ear|[Bb]est|[Ll]ove),?)\s{1,3}(?:- ?)?$"
)
LIKELY = re.compile(
    r"(?:^|[\n:,;(\"|]|[0-9][.)]|\b(?:by|with|told|tell|asked|met|saw|and|to|from|for|interviewed|contact|is"
    r"|are|was|am|'m|that|when|says|said|see|ask|call|called|notify|inform|counsel|holder|defendant|plaintiff"
    r"|employee|patient|beneficiary|borrower|tenant|witness|client|customer|attorney|officer|addressed to"
    r"|according to|According to|Employee|Patient|Defendant|Customer|Client|Mr|signed|help,|it's))\s{0,3}$",
    re.I,
)
ACTS = re.compile(
    r"(?:'s)?(?:,? (?:was|is|has|had|said|says|told|signed|appeared|underwent|reported|called|calling|will|who"
    r"|whose|agreed|wrote|asked|residing|born|stated|explained|noted|and|both|for|on|yesterday|today|last|about"
    r"|at|did|does|from|died|lives|works|joined|paid|received|requested|[a-z]{2,}ed)\b"
    r"| ?[(<]|, ?(?:\+|[0-9(]|age|aged|M\.?D\b|residing|born)|[.,;!?\n]|$)"
)
PERSONAL = re.compile(
    r"\b(?:told|asked|met|interviewed|thank|hello|hi|neighbou?r|actor|actress|singer|author|nurse|witness|judge"
    r"|officer|minister"
    r"|president|chairman|director|manager|ceo|founder|captain|coach|driver|colleague|friend|on behalf of|i am"
    r"|i'm|seen|add|keys are with"
    r"|written by|signed by|taken by|employee|defendant|plaintiff|attorney|counsel|customer|client|who is|who was)\s$",
    re.I,
)
PERSONALLY = re.compile(
    r",? (?:said|says|told|signed|lives|lived|called|wrote|asked|agreed|joined|founded|scored|won|announced"
    r"|testified|complained"
    r"|moved|married|resigned|who|whose)\b|, (?:who|aged|age)\b|'s (?:account|name|wife|husband|mother|father"
    r"|card|loan|address)\b"
)
NAMELIKE = re.compile(rf"[{CAPITAL}][{SMALL}{CAPITAL}'-]*[{SMALL}]{{2}}")
THING = re.compile(
    r"(?:'s?)?[ -](?:disease|syndrome|disorder|tests?|method|score|scale|index|regression|model|correlation"
    r"|coefficient|distribution|classification|sign|anomaly|an[a]?emia|thyroiditis|palsy|lymphoma|sarcoma"
    r"|tumou?r|cells?|body|bodies"
    r"|staging|stain|reaction|law|effect|equation|theorem|algorithm|analysis|procedure|operation|catheter|tube"
    r"|esophagus|phenomenon|contracture|chorea|ataxia|dystrophy|malformation|fracture|muscle|node|gland|duct"
    r"|patch|curve|plot|ratio|rank|trial|study|prize|award|university"
    r"|hospital|college|school|institute|clinic|cent(?:er|re)|foundation|street|road|avenue|county|city|island"
    r"|river|bank|inc|ltd|llc|corp|company|group|fund|t-test|u test|exact|chi|hypothesis|inventory"
    r"|questionnaire|protocol|technique|approach|type)s?(?![A-Za-z])"
    r"|(?:'s?)?[ -](?:criteri|estimat)"
)
FIRM = re.compile(
    r" (?:Disease|Syndrome|Disorder|Test|Score|Scale|Index|Law|Effect|University|Hospital|College|School"
    r"|Institute|Clinic|Center|Centre|Foundation|Street|St|Road|Rd|Avenue|Ave|Drive|Lane|Blvd|County|City"
    r"|Island|River|Bank|Inc|Ltd|LLC|Corp|Company|Group|Fund|Award|Prize|Airport|Park|Hotel|Church|Bridge"
    r"|Stadium|Museum|&)\b"
)
GIVEN_AFTER = re.compile(r", (?P<given>[A-Z][a-z'-]+)(?: [A-Z]\b\.?)?(?![A-Za-z])")
LOWER_SELF = re.compile(
    r"ame(?:'s| is) (?P<name>[a-z][a-z'-]+(?: [a-z][a-z'-]+){0,2})|\b(?:am|i'm|I'm|this is|all me) "
    r"(?P<pair>[a-z][a-z'-]+ [a-z][a-z'-]+)"
)
LOWER_LABEL = re.compile(
    r"(?:name|patient|customer|client|contact|caller|attn)\s?[:=]\s{0,2}(?P<name>[a-z][a-z'-]+ [a-z][a-z'-]+)"
    r"(?=\s*(?:$|[\n,;.|)]))",
    re.I | re.M,
)
NOT_LOWER = word_set("person_en.txt", "words that end a name in small letters")
EDGE_BEFORE, EDGE_AFTER = re.compile(r"[0-9A-Za-z_@#/.'-]"), re.compile(r"[A-Za-z0-9_-]")
PIECE = re.compile(r"[^ .]+\.?")
LONE, LISTED, ANNOUNCED = 0.6, 0.75, 0.85


def find(page: Page) -> Iterator[Hit]:
    """Names by their parts and by what stands around them."""
    text = page.text
    full: list[Hit] = []
    lone = tables().lone
    for match in SEQUENCE.finditer(text):
        words = match.group()
        start, end = match.span()
        if " " not in words and words not in lone and not _may_be_led(text, start, end):
            continue
        for hit in _names_in(text, start, end):
            if hit.score > LONE:
                full.append(hit)
            yield hit
    yield from _small(page)
    if full:
        yield from _again(text, full)


def _may_be_led(text: str, start: int, end: int) -> bool:
    """Whether a single word may be a name for what stands around it. Cheap, and never wrong when it says no."""
    before = text[max(0, start - 2) : start]
    if before[-1:] in ("\n", ":", "=") or before in (": ", ", ", "= ") or text[end : end + 2] == ", ":
        return True
    return (
        before[-1:] == " " and text[max(0, start - 5) : start - 1].rpartition(" ")[2] in LAST_WORDS
    ) or "'s" in text[start:end]


LAST_WORDS = word_set("person_en.txt", "words right before a name")


def _names_in(text: str, start: int, end: int) -> Iterator[Hit]:
    """Names among capitalised words that follow each other."""
    pieces = [(start + m.start(), start + m.end(), m.group().rstrip(".")) for m in PIECE.finditer(text[start:end])]
    first = 0
    led = None
    for at, (_, _, word) in enumerate(pieces):
        if word in TITLES and at + 1 < len(pieces):
            led = at if led is None or at != first else led
            first = at + 1
        elif word in GREETINGS and at + 1 < len(pieces):
            first, led = at + 1, None
    if led is not None:
        yield from _titled(pieces, led, first)
        return
    name = _trimmed(pieces[first:])
    if name is not None:
        yield from _judged(text, name, is_greeted=first > 0)


def _titled(pieces: list[tuple[int, int, str]], led: int, first: int) -> Iterator[Hit]:
    """What follows a title, up to a possessive."""
    last = first + 1
    while (
        last < len(pieces) and not pieces[last - 1][2].endswith("'s") and not is_dropped(pieces[last][2], first=False)
    ):
        last += 1
    word = pieces[last - 1][2]
    yield Hit(pieces[led][0], pieces[last - 1][0] + len(word.removesuffix("'s").removesuffix("'")), 0.9)


def _trimmed(pieces: list[tuple[int, int, str]]) -> list[tuple[int, int, str]] | None:
    """Without usual words and particles at both ends, and without an 's, which ends a name."""
    kept: list[tuple[int, int, str]] = []
    for begin, end, word in pieces:
        bare = word.removesuffix("'s").removesuffix("'S").removesuffix("'")
        kept.append((begin, end if bare == word else begin + len(bare), bare))
        if bare != word:
            break
    while kept and (is_dropped(kept[0][2], first=True) or kept[0][2] in PARTICLES):
        kept.pop(0)
    while kept and (is_dropped(kept[-1][2], first=len(kept) == 1) or kept[-1][2] in PARTICLES):
        kept.pop()
    return kept or None


def _judged(text: str, name: list[tuple[int, int, str]], *, is_greeted: bool) -> Iterator[Hit]:
    """The name, if its words or its surroundings say that it is one."""
    start, end = name[0][0], name[-1][0] + len(name[-1][2])
    words = [word for *_, word in name]
    after = text[end : end + 16]
    if THING.match(after) or FIRM.match(after):
        return
    if text[end : end + 2] == ", " and (inverted := _inverted(text, end, words[-1])):
        yield Hit(name[-1][0], inverted, LISTED)
        return
    before = text[max(0, start - 32) : start]
    heard = len(words) > 1 and _is_heard(words)
    if heard:
        yield Hit(start, end, LISTED)
    elif (LABEL.search(before) and not _is_acronym(words)) or _is_led(before, after, words, is_greeted=is_greeted):
        yield Hit(start, end, ANNOUNCED)
    elif len(words) == 1 and is_lone_name(words[0]):
        yield Hit(start, end, LONE)


def _is_heard(words: list[str]) -> bool:
    known = tables()
    if all(word.isupper() for word in words) and not all(
        plain(w) in known.given | known.surnames for w in words if len(w) > 1
    ):
        return False
    return is_name(words)


def _is_led(before: str, after: str, words: list[str], *, is_greeted: bool) -> bool:
    """Whether words in no list, or in doubt, are a name for what stands around them."""
    if _is_acronym(words):
        return False
    known = all(plain(word) in tables().known for word in words)
    if is_greeted or SURE.search(before):
        return known or is_unheard(words, doubtful_too=len(words) > 1)
    if len(words) == 1 or not is_unheard(words, doubtful_too=True):
        return False
    has_initial = any(len(word) == 1 for word in words[1:-1])
    if has_initial or (LIKELY.search(before) and ACTS.match(after)):
        return True
    is_plain = all(NAMELIKE.fullmatch(word) or word in PARTICLES for word in words)
    return is_plain and bool(PERSONAL.search(before) or PERSONALLY.match(after))


def _is_acronym(words: list[str]) -> bool:
    return all(word.isupper() and len(word) < 6 for word in words)


def _inverted(text: str, end: int, surname: str) -> int | None:
    """Where "SMITH, John A." ends, when that is what it is."""
    match = GIVEN_AFTER.match(text, end)
    known = tables()
    if match is None or match["given"] not in known.given or surname in TITLES:
        return None
    part = plain(surname)
    if surname.isupper() and len(surname) > 2 and not is_dropped(surname, first=True):
        return match.end()
    return match.end() if part in known.surnames & known.known and part not in known.given else None


def _small(page: Page) -> Iterator[Hit]:
    """Names in small letters where they are announced: up to the first word that is none."""
    text = page.text
    if page.holds("name is ", "name's ", "i'm ", "i am ", "this is ", "call me "):
        for match in LOWER_SELF.finditer(text):
            yield from _small_name(match, match.lastgroup or "name")
    if page.holds("mr", "ms", "dr", "prof"):
        for match in TITLED_LOWER.finditer(text):
            yield from _small_name(match, "name")
    if ":" in text or "=" in text:
        for match in LOWER_LABEL.finditer(text):
            if match["name"].islower():
                yield from _small_name(match, "name", is_sure=False)


def _small_name(match: re.Match[str], group: str, *, is_sure: bool = True) -> Iterator[Hit]:
    words: list[str] = []
    for word in match[group].split():
        if word in NOT_LOWER:
            break
        words.append(word)
    known = [word.capitalize() in tables().known for word in words]
    if not words or ((group == "pair" or not is_sure) and not all(known)):
        return
    while len(words) > 1 and words[-1].capitalize() in tables().usual and not known[len(words) - 1]:
        words.pop()
    if len(words) > 1 or known[0] or words[0].capitalize() not in tables().usual:
        yield Hit(match.start(group), match.start(group) + len(" ".join(words)), 0.8)


def _again(text: str, found: list[Hit]) -> Iterator[Hit]:
    """Other places of surnames and given names of the full names found."""
    known = tables()
    parts = {
        word
        for hit in found
        for word in re.split(r"[ ,.]+", text[hit.start : hit.end])
        if len(word) > 2 and word[0].isupper() and word not in TITLES
        and not any(word in held for held in (known.usual, known.eponyms, known.places, known.doubtful))
    }  # fmt: skip
    for part in parts:
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
