"""Personal data, found by the recognisers of `data.privacy` while it is said.

A text is taken apart into phrases that no number or address can reach across, and each phrase is looked at when it is
over. Of numbers and codes a phrase is what stands between Chinese characters, commas and plain words: a few words are
held back. Names, addresses and dates of birth are made of plain words, so with one of these it is a whole sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, field_validator

from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.recogniser import bare
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.serving.guard.finding import FILTERS, FilterKind, FilterSpec, Finder, Look, Span, Text

OF_WORDS = ("person", "address", "birth_date")
"""Kinds that are made of plain words."""

CODES = (
    "bank_card", "credit_code", "email", "hong_kong_id", "iban", "ip_address", "licence_plate", "mac_address",
    "macau_id", "passport", "phone", "record_number", "resident_id", "social_id", "taiwan_id", "travel_permit",
    "uk_nhs", "uk_nino", "us_ssn",
)  # fmt: skip

MOST, KEPT = 400, 200
"""Characters of a phrase; of a longer one that many stay with what comes, so that nothing is cut in two."""

LONGEST_WORD = 64
SPACE = " \t\u00a0\u2002\u2003\u2009\u202f\u3000\u200b\u200c\u200d\u2060\ufeff"
SPOKEN = "零〇一二三四五六七八九幺两"
JOINS = "艾特点轉转"
PLATES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼港澳使领学警挂"
SIGNS = r"@._%+\-()\[\]{}<>#/:*=·•＠．％＋－（）＃／：﹫＿‐‑‒–—―−﹣"
WORD = rf"[A-Za-z0-9０-９Ａ-Ｚａ-ｚ{SPOKEN}{JOINS}{PLATES}{SIGNS}]"
OF_CODES = re.compile(
    rf"(?P<word>{WORD}{{1,{LONGEST_WORD}}})|(?P<space>[{SPACE}]{{1,3}})|(?P<quiet>(?!{WORD})[^{SPACE}])"
)
OF_SENTENCES = re.compile(
    rf"(?P<quiet>[\n。！？!?；;])|(?P<space>[{SPACE}]{{1,3}})|(?P<word>[^\n。！？!?；;{SPACE}]{{1,{LONGEST_WORD}}})"
)
CODED = re.compile(rf"[0-9０-９{SPOKEN}{JOINS}{PLATES}@＠_\[\]{{}}<>#+(（]|^(?:at|dot|AT|DOT|ext\.?|[A-Z]{{1,4}})$")
SENTENCE_END = re.compile(r"[a-z]{4}\.$")


class PersonalDataSpec(FilterSpec):
    """Finds personal data."""

    filter: Literal["personal_data"] = "personal_data"
    """Looks for personal data; it is masked as [PHONE]."""

    kinds: tuple[str, ...] = Field(default=CODES, min_length=1)
    """Kinds or recognisers, as in data.privacy.kinds; by default numbers and codes. With person, address or birth_date
    answers are told sentence by sentence."""

    allow: tuple[str, ...] = ()
    """Texts that are never touched, such as a hotline 95588 or *@example.com."""

    spares_prompt: bool = False
    """Whether an answer may say what its prompt says."""

    @field_validator("kinds")
    @classmethod
    def _are_known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        parse(PrivacySpec, {"kinds": kinds})
        return kinds


@dataclass(frozen=True, slots=True)
class Personal:
    """The filter of its settings."""

    spec: PersonalDataSpec
    deidentifier: Deidentifier
    tokens: re.Pattern[str]
    evidence: dict[str, object] = field(default_factory=dict)

    def finder(self, source: str) -> Finder:
        """What `source` says is left alone where the settings say so."""
        known = bare(source) if self.spec.spares_prompt else ""
        return lambda text: self._look(text, known)

    def _look(self, text: Text, known: str) -> Look:
        spans: list[Span] = []
        at = 0
        while (phrase := self._phrase(text.held, at, is_last=text.is_last)) is not None:
            start, end, is_cut = phrase
            found = list(self._found(text, start, end, known)) if end > start else []
            at = self._cut(found, start, end) if is_cut else end
            spans += (one for one in found if one.end <= at)
        return Look(tuple(spans), at)

    def _phrase(self, held: str, at: int, *, is_last: bool) -> tuple[int, int, bool] | None:
        """The next phrase that is over, and whether it was cut because it is too long; None if there is none."""
        end = at
        word = ""
        after_space = False
        for token in self.tokens.finditer(held, at):
            if token.lastgroup == "quiet":
                return (at, token.start(), False) if end > at else self._quiet(held, at)
            limit = LONGEST_WORD if token.lastgroup == "word" else 3
            if token.end() == len(held) and token.end() - token.start() < limit and not is_last:
                return None
            if token.lastgroup == "space":
                if after_space:
                    return at, token.start(), False
                after_space, end = True, token.end()
                continue
            if after_space and word and not self._joins(word, token.group()):
                return at, token.start(), False
            end, after_space, word = token.end(), False, token.group()
            if end - at > MOST:
                return at, end, True
        return (at, end, False) if is_last and end > at else None

    def _quiet(self, held: str, at: int) -> tuple[int, int, bool]:
        """What no personal data has, up to where some may begin: nothing to look at."""
        while (token := self.tokens.match(held, at)) and token.lastgroup == "quiet":
            at = token.end()
        return at, at, False

    def _joins(self, word: str, following: str) -> bool:
        """Whether personal data may reach across the space between two words."""
        if self.tokens is OF_SENTENCES:
            return SENTENCE_END.search(word) is None
        return bool(CODED.search(word) or CODED.search(following))

    def _found(self, text: Text, start: int, end: int, known: str) -> Iterator[Span]:
        before = (text.before + text.held[:start])[-80:]
        for found in self.deidentifier.find(before + text.held[start:end]):
            first, last = max(found.start - len(before), 0), found.end - len(before)
            if last > 0 and not (known and bare(text.held[start + first : start + last]) in known):
                yield Span(start + first, start + last, found.kind, f"[{found.kind.upper()}]")

    def _cut(self, found: list[Span], start: int, end: int) -> int:
        """Where a phrase that goes on is cut: not within what was found, unless that fills it."""
        cut = end - KEPT
        within = next((one for one in found if one.start < cut < one.end), None)
        if within is None:
            return cut
        return within.start if within.start > start and within.end == end else within.end


def made(spec: PersonalDataSpec) -> Personal:
    """The filter of `spec`."""
    asked = parse(PrivacySpec, {"kinds": spec.kinds, "allow": spec.allow})
    deidentifier = Deidentifier(asked, None)
    from graftwork.data.privacy.choice import chosen

    is_of_words = any(by.kind in OF_WORDS for by in chosen(spec.kinds))
    return Personal(spec, deidentifier, OF_SENTENCES if is_of_words else OF_CODES)


FILTERS.add("personal_data", FilterKind(spec=PersonalDataSpec, made=made))
