"""Sensitive words of lists, however they are written: in letters drawn out, full width, digits, with signs between.

An English word is found only whole, a Chinese one anywhere. What is held back is the end of a text that may be the
beginning of a word. Not seen through: letters left out or starred (f*ck), pinyin, words within other scripts' words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from graftwork.core.digests import digest
from graftwork.core.errors import Problem, SpecError
from graftwork.data.lexicons.folding import CLAUSES
from graftwork.data.lexicons.lexicon import LEAST_SPELT, Listed, read_list, shipped
from graftwork.serving.guard.finding import FILTERS, FilterKind, FilterSpec, Finder, Look, Plain, Span, Text
from graftwork.serving.guard.letters import IS_HAN, LATIN_WORD, MOST_DRAWN, Letter, plain, readings

FARTHEST = 16
"""Characters that may stand between two letters of a word; those that are not seen count."""

BETWEEN_HAN = re.compile(rf"(?:[ \t\u3000]|[^\w\s{CLAUSES}])*")
IN_WORD = re.compile(r"[.\-_*·'~|/\\+^]{0,2}")
SPELT = re.compile(r"[^\n]{1,3}")
BETWEEN_WORDS = re.compile(r"[ \t\u3000.\-_*·'~|/\\+^]{1,3}")


class WordsSpec(FilterSpec):
    """Finds the words of lists."""

    filter: Literal["words"] = "words"
    """Looks for sensitive words."""

    shipped: tuple[Literal["en", "zh"], ...] = ("en", "zh")
    """Lists that come with graftwork. They are short: a floor, not a filter."""

    lexicons: tuple[str, ...] = Field(default=(), max_length=100)
    """Files with words of one's own: UTF-8, one a line, under [headings] if wanted."""

    mask: str = "***"
    """What stands in the place of a word."""

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if not self.shipped and not self.lexicons:
            raise SpecError([Problem("lexicons", [], "a list of words", "With no list it finds nothing.")])
        return self


@dataclass(frozen=True, slots=True)
class Form:
    """A word as it is looked for.

    Attributes:
        gaps: for each letter whether something stands before it in the word itself.
    """

    topic: str
    gaps: tuple[bool, ...]


class Words:
    """The words of lists, by their letters."""

    def __init__(self, words: Iterable[Listed]) -> None:
        self.forms: dict[str, list[Form]] = {}
        self.beginnings: set[str] = set()
        for listed in words:
            letters, gaps = _spelling(listed.word)
            if letters:
                self.forms.setdefault(letters, []).append(Form(listed.topic, gaps))
                self.beginnings.update(letters[:end] for end in range(1, len(letters)))

    def look(self, text: Text, mask: str) -> Look:
        """Words that nothing can change any more: the first one first, of those that begin together the longest."""
        before = text.before[-(MOST_DRAWN + FARTHEST + 2) :]
        whole, begin = before + text.held, len(before)
        found: list[tuple[int, int, str]] = []
        settled = len(whole)
        for letters in readings(whole):
            for hit in self._hits(whole, letters, begin, is_last=text.is_last):
                if isinstance(hit, int):
                    settled = min(settled, hit)
                else:
                    found.append(hit)
        spans: list[Span] = []
        free = begin
        for start, end, topic in sorted(found, key=lambda hit: (hit[0], -hit[1], hit[2])):
            if free <= start < settled:
                spans.append(Span(start - begin, end - begin, topic, mask))
                free = end
        return Look(tuple(spans), max(settled, free) - begin)

    def _hits(
        self, whole: str, letters: list[Letter], begin: int, *, is_last: bool
    ) -> Iterator[tuple[int, int, str] | int]:
        """Each word that stands in `whole` behind `begin`; as a number, the first place where one may begin yet."""
        open_at: int | None = None
        for first, letter in enumerate(letters):
            if letter.start < begin or not self._goes(letter.sign) or not _is_border(whole, letter, before=True):
                continue
            ends, is_open = self._from(whole, letters, first)
            if is_open and not is_last and open_at is None:
                open_at = letter.start
            yield from ((letter.start, end, topic) for end, topic in ends)
        if open_at is not None:
            yield open_at

    def _from(self, whole: str, letters: list[Letter], first: int) -> tuple[list[tuple[int, str]], bool]:
        """The ends of the words that begin at a letter, and whether what comes may make another."""
        ends: list[tuple[int, str]] = []
        spelt, is_open = "", False
        for last in range(first, len(letters)):
            here = letters[first : last + 1]
            if len(here) > 1 and not _may_follow(whole, here[-2], here[-1]):
                return ends, is_open
            if last == len(letters) - 1 and len(here) > 1 and here[-2].sign == here[-1].sign and self._goes(spelt):
                is_open = _is_open(whole, here[-1])  # one more of this letter, and they are one
            spelt += here[-1].sign
            ends += ((here[-1].end, form.topic) for form in self.forms.get(spelt, ()) if _stands(whole, here, form))
            if spelt not in self.beginnings:
                return ends, is_open or (spelt in self.forms and _is_border_open(whole, here[-1]))
        return ends, is_open or _is_open(whole, letters[-1])

    def _goes(self, spelt: str) -> bool:
        return spelt in self.beginnings or spelt in self.forms


def _spelling(word: str) -> tuple[str, tuple[bool, ...]]:
    """The letters of a word of a list, and before which of them something stands."""
    letters = next(readings(word))
    gaps = [False, *(a.end < b.start for a, b in pairwise(letters))]
    return "".join(letter.sign for letter in letters), tuple(gaps)


def _may_follow(whole: str, one: Letter, other: Letter) -> bool:
    """Whether two letters may be of one word, as far as what stands between them goes."""
    if other.start <= one.end:
        return True
    if other.start - one.end > FARTHEST:
        return False
    between = _seen(whole, one.end, other.start)
    if IS_HAN.match(one.sign) and IS_HAN.match(other.sign):
        return BETWEEN_HAN.fullmatch(between) is not None
    return not between or SPELT.fullmatch(between) is not None


def _stands(whole: str, here: list[Letter], form: Form) -> bool:
    """Whether letters are a word: what stands between them is as in the word, or hides it in a known way."""
    if not any(letter.is_told for letter in here) or not _is_border(whole, here[-1], before=False):
        return False
    pairs = list(zip(here, here[1:], form.gaps[1:], strict=False))
    told = [(a, b, _seen(whole, a.end, b.start) if a.end < b.start else "", gap) for a, b, gap in pairs]
    if all(_fits(a, b, between, gap) for a, b, between, gap in told):
        return True
    is_latin = not any(IS_HAN.match(letter.sign) for letter in here)
    return is_latin and len(here) >= LEAST_SPELT and all(SPELT.fullmatch(between) for _, _, between, _ in told)


def _fits(one: Letter, other: Letter, between: str, is_gap: bool) -> bool:
    if IS_HAN.match(one.sign) and IS_HAN.match(other.sign):
        return BETWEEN_HAN.fullmatch(between) is not None
    return (BETWEEN_WORDS if is_gap else IN_WORD).fullmatch(between) is not None


def _seen(whole: str, start: int, end: int) -> str:
    return "".join(plain(c) for c in whole[start:end])


def _is_border(whole: str, letter: Letter, *, before: bool) -> bool:
    """Whether a word may begin, or end, at a letter; Chinese has no borders between words."""
    if letter.sign not in LATIN_WORD:
        return True
    steps = range(letter.start - 1, letter.start - FARTHEST - 2, -1) if before else range(letter.end, len(whole))
    for at in steps[: FARTHEST + 1]:
        if at < 0:
            return True
        if beside := plain(whole[at]):
            return beside[-1 if before else 0] not in LATIN_WORD
    return True


def _is_open(whole: str, letter: Letter) -> bool:
    """Whether the next letter of `whole`, when it comes, may be of one word with `letter`."""
    if len(whole) - letter.end > FARTHEST:
        return False
    between = _seen(whole, letter.end, len(whole))
    if not between or SPELT.fullmatch(between):
        return True
    return bool(IS_HAN.match(letter.sign) and BETWEEN_HAN.fullmatch(between))


def _is_border_open(whole: str, letter: Letter) -> bool:
    """Whether it is still to come what stands behind a word that ends with `letter`."""
    is_near = len(whole) - letter.end <= FARTHEST
    return is_near and letter.sign in LATIN_WORD and not _seen(whole, letter.end, len(whole))


def made(spec: WordsSpec) -> Plain:
    """The filter of `spec`, its lists read."""
    listed = [*shipped(spec.shipped), *(word for path in spec.lexicons for word in read_list(path))]
    words = Words(listed)
    finder: Finder = lambda text: words.look(text, spec.mask)  # noqa: E731
    return Plain(finder, {"words": digest(sorted((one.topic, one.word) for one in listed))})


FILTERS.add("words", FilterKind(spec=WordsSpec, made=made))
