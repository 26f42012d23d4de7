"""Whether two texts are alike: exactly, on all their shingles."""

import re
from dataclasses import dataclass
from functools import cached_property

from graftwork.data.quality.text import DENSE, DENSE_WIDTH, SPARSE_WIDTH, Parts, is_label, read_parts, shingles

NUMBER = re.compile(r"\d+|[$€£¥]|\b(?:ii|iii|iv|v|vi|vii|viii|ix)\b")
"""Digits, currencies, and Roman numbers that are no word: type II is not type V."""

OWN_CHARACTERS = 12
"""A stretch this long, of each, that the other lacks makes two records different: two or three words."""

PART_LIKENESS = 0.65
"""Least likeness of each part by itself: with a long answer the same, questions must still be alike."""

BREAK = 10
"""A stretch of fewer shared characters does not end a stretch of its own: any two long texts share ' the '."""

SHORT = 200
"""Characters in which two texts may differ, up to which searching them costs less than making shingles of all."""


@dataclass(frozen=True)
class Compared:
    """A text ready to be compared.

    Attributes:
        text: the parts in which likeness is measured, in one.
    """

    parts: Parts
    text: str

    @cached_property
    def shingles(self) -> frozenset[str]:
        """All shingles of the text."""
        return shingles(self.text)

    @property
    def numbers(self) -> tuple[str, ...]:
        """All numbers and currencies in it, in order."""
        return tuple(NUMBER.findall(self.text))


def compared(text: str) -> Compared:
    """A `compared_text`, ready to be compared."""
    told = read_parts(text)
    return Compared(told, told.content)


def likeness(a: Compared, b: Compared) -> float:
    """Jaccard likeness: shared shingles over all shingles, 0 to 1.

    >>> likeness(compared("\x1f\x1fabcdef\x1f"), compared("\x1f\x1fabcdeg\x1f"))
    0.3333333333333333
    """
    return _jaccard(a.shingles, b.shingles)


def are_alike(a: Compared, b: Compared, *, threshold: float, own_characters: int) -> bool:
    """Whether the two say nearly the same.

    Args:
        threshold: least Jaccard likeness.
        own_characters: when each has a stretch this long that the other lacks, they say different things however much
            else they share, such as a long instruction; see `own_stretch`.
    """
    if a.text == b.text:
        return True
    begin, end = _own_part(a.text, b.text)
    is_quick = end - begin <= SHORT  # then it says so before any shingle is made: the case of one long instruction
    if is_quick and _each_has_its_own(a, b, own_characters):
        return False
    if likeness(a, b) < threshold:
        return False
    if not is_quick and _each_has_its_own(a, b, own_characters):
        return False
    return _part_by_part(a, b)


def _each_has_its_own(a: Compared, b: Compared, own_characters: int) -> bool:
    return own_stretch(a, b) >= own_characters and own_stretch(b, a) >= own_characters


def _part_by_part(a: Compared, b: Compared) -> bool:
    """Whether questions and answers are alike by themselves, and about the same.

    What a record is about stands in its question and again in its answer. Two that each have such words which the
    other lacks are about different things: the same sentences about two diseases are no duplicates.
    """
    said_a, said_b = a.parts, b.parts
    if said_a.asked != said_b.asked and said_a.answered != said_b.answered:
        topic_a = (shingles(said_a.asked) & shingles(said_a.answered)) - b.shingles
        topic_b = (shingles(said_b.asked) & shingles(said_b.answered)) - a.shingles
        if topic_a and topic_b:
            return False
    several = [(said_a.asked, said_b.asked), (said_a.rejected, said_b.rejected)]
    if not (is_label(said_a.answered) and is_label(said_b.answered)):
        several.append((said_a.answered, said_b.answered))  # labels are alike by what they mean, not as texts
    return all(one == other or _jaccard(shingles(one), shingles(other)) >= PART_LIKENESS for one, other in several)


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def own_stretch(a: Compared, b: Compared) -> int:
    """The longest stretch of `a` that `b` lacks, in characters, those of Chinese, Japanese and Korean counted twice.

    >>> own_stretch(compared("\\x1f\\x1fpay the invoice now\\x1f"), compared("\\x1f\\x1fpay the fine now\\x1f"))
    6
    """
    text, size = a.text, len(a.text)
    longest = run = shared = covered_to = 0
    begin, end_of_own = _own_part(text, b.text)
    known: str | frozenset[str] = (
        b.text if end_of_own - begin <= SHORT else b.shingles
    )  # to search is to know, but slow
    for at, character in enumerate(text[begin:end_of_own], begin):
        dense = character >= DENSE
        end = at + (DENSE_WIDTH if dense else SPARSE_WIDTH)
        if end <= size and end > covered_to and text[at:end] in known:
            covered_to = end
        length = 2 if dense else 1
        if at >= covered_to:
            run, shared = run + length, 0
            longest = max(longest, run)
        else:
            shared += length
            run = 0 if shared >= BREAK else run
    return longest


def _own_part(text: str, other: str) -> tuple[int, int]:
    """Where `text` may lack something: all but a beginning and an end that `other` has too, less a shingle's width."""
    most = min(len(text), len(other))
    begin = _num_equal(text, other, most)
    end = _num_equal(text[::-1], other[::-1], most - begin)
    return max(0, begin - SPARSE_WIDTH), min(len(text), len(text) - end + SPARSE_WIDTH)


def _num_equal(a: str, b: str, most: int) -> int:
    """Characters that both begin with, up to `most`; by halving, because comparing whole pieces is fast."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
