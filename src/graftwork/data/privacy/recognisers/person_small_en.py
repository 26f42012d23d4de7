"""Names in small letters, as people write them in chat: found only where words before announce them."""

import re
from collections.abc import Iterator

from graftwork.data.privacy.lists import word_set
from graftwork.data.privacy.names_en import KNOWN, LONE, USUAL, kind
from graftwork.data.privacy.page import Page
from graftwork.data.privacy.recogniser import RECOGNISERS, Hit, Recogniser
from graftwork.data.privacy.recognisers.person_en import canonical

TITLED = re.compile(
    r"[mdp](?<!\w.)(?:(?<=m)rs?|(?<=m)s|(?<=d)r|(?<=p)rof)\.? (?P<name>[a-z][a-z'-]{1,20}(?: [a-z][a-z'-]{2,20})?)"
)
SELF = re.compile(
    r"ame(?:'s| is) (?P<name>[a-z][a-z'-]+(?: [a-z][a-z'-]+){0,2})|\b(?:am|i'm|I'm|im|this is|all me|it's|its) "
    r"(?P<pair>[a-z][a-z'-]+(?: [a-z][a-z'-]+)?)"
)
LABELLED = re.compile(
    r"(?:name|patient|customer|client|contact|caller|attn)\s?[:=]\s{0,2}(?P<name>[a-z][a-z'-]+ [a-z][a-z'-]+)"
    r"(?=\s*(?:$|[\n,;.|)]))",
    re.I | re.M,
)
ADDRESSED = re.compile(
    r"\b(?:hi|hey|hello|dear|thanks|cheers|ask|asked|tell|told|cc|wife|husband|son|daughter|sister|brother|colleague"
    r"|boss|mate|friend) (?P<name>[a-z]{3,20})\b(?![-'@.][a-z])"
)
ADDRESSES = (
    "hi ", "hey ", "hello ", "dear ", "thanks ", "cheers ", "ask ", "asked ", "tell ", "told ", "cc ", "wife ",
    "husband ", "son ", "daughter ", "sister ", "brother ", "colleague ", "boss ", "mate ", "friend ",
)  # fmt: skip
LABELS = tuple(
    word + sign
    for word in ("name", "patient", "customer", "client", "contact", "caller", "attn")
    for sign in (":", " :", "=", " =")
)
SELVES = ("name is ", "name's ", "i'm ", "im ", "i am ", "this is ", "call me ", "it's ", "its ")
ENDS = word_set("person_en.txt", "words that end a name in small letters")


def find(page: Page) -> Iterator[Hit]:
    """Names in small letters where they are announced: up to the first word that is none."""
    text = page.text
    if page.holds(*SELVES):
        for match in SELF.finditer(text):
            yield from _up_to_end(match, match.lastgroup or "name", is_sure=match.lastgroup == "name")
    if page.holds("mr", "ms", "dr", "prof"):
        for match in TITLED.finditer(text):
            yield from _up_to_end(match, "name", is_sure=True)
    if page.holds(*LABELS):
        for match in LABELLED.finditer(text):
            if match["name"].islower():
                yield from _up_to_end(match, "name", is_sure=False)
    for match in ADDRESSED.finditer(text) if page.holds(*ADDRESSES) else ():
        if kind(match["name"].capitalize()) & LONE:
            yield Hit(*match.span("name"), 0.7)


def _up_to_end(match: re.Match[str], group: str, *, is_sure: bool) -> Iterator[Hit]:
    words: list[str] = []
    for word in match[group].split():
        if word in ENDS:
            break
        words.append(word)
    told = [kind(word.capitalize()) for word in words]
    if not words or not (is_sure or all(bits & (LONE if len(words) == 1 else KNOWN) for bits in told)):
        return
    while len(words) > 1 and told[len(words) - 1] & USUAL:
        words.pop()
    if len(words) > 1 or not told[0] & USUAL:
        yield Hit(match.start(group), match.start(group) + len(" ".join(words)), 0.8)


RECOGNISERS.add(
    "person_small_en",
    Recogniser(
        "person_small_en", "person", find, canonical, str.title, is_latin=True,
        words=(*SELVES, *ADDRESSES, "mr", "ms", "dr", "prof", *LABELS),
    ),
)  # fmt: skip
