"""option_order: the possible answers that a prompt lists stand in another order.

Listed are options behind letters ("A. ...", "B. ...", in lines or in a row), whose letters stay where they are while
their texts change places, so that a right answer that names its letter names the new one; or the closed set of answers
of the data, where three or more stand side by side ("Anatomy, Dentistry or Physiology"), in any turn of the prompt.

Left alone: options that speak of others ("all of the above", "以上都是"), and answers that name a letter in another way
than as their first word.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from graftwork.evaluation.metrics.text import loose
from graftwork.evaluation.perturbations.perturbation import PERTURBATIONS, Asked, Perturbation
from graftwork.evaluation.perturbations.protect import Part
from graftwork.evaluation.perturbations.words import replaced

_MARK = re.compile(r"(?<![A-Za-z0-9])[(（]?([A-H])(?:[.．、)）:：])[ \t\u3000]*")
_OF_OTHERS = re.compile(
    r"\b(?:above|below|both|all of|none|neither)\b|以上|以下|上述|都是|都不|均|[A-H](?:和|与|、|,|，| and )[A-H]", re.I
)
_NAMES_LETTER = re.compile(r"^[(（]?([A-H])(?![A-Za-z])")
_ANY_LETTER = re.compile(r"(?<![A-Za-z])[A-H](?![A-Za-z'’])")
_QUOTE = "[\"'“”‘’]?"
_COMMA = r",\s*(?:or|and)\s|，|,|、|;|；|/|\||\n\s*(?:[-*•]\s*)?|\s+(?:or|and)\s+|或者|以及|或|和|与"
_BETWEEN = rf"{_QUOTE}\s*(?:{_COMMA})\s*{_QUOTE}"
FEWEST = 3
"""Answers side by side that are a list; two may be a sentence."""

KEEPS: frozenset[Part] = frozenset({"code"})


def option_order(asked: Asked, drawn: Random) -> Asked | None:
    """The prompt with its options in another order, and the answer that is then right."""
    return _lettered(asked, drawn) or _listed(asked, drawn)


def _lettered(asked: Asked, drawn: Random) -> Asked | None:
    text = asked.question
    places = _options(text)
    contents = [text[start:end] for start, end in places]
    if len(places) < 2 or len(set(contents)) < len(contents) or any(map(_OF_OTHERS.search, contents)):
        return None
    order = _shuffled(len(places), drawn)
    expected = _moved(asked.expected, contents, order)
    if expected is None:
        return None
    edits = {place: contents[order[at]] for at, place in enumerate(places)}
    after = asked.asking(replaced(text, edits))
    return replace(after, expected=expected, moved=lambda said: _moved(said, contents, order) or said)


def _options(text: str) -> list[tuple[int, int]]:
    """Where the texts of options A, B, C ... stand; empty where letters do not follow each other."""
    marks = list(_MARK.finditer(text))
    if not marks or "".join(mark.group(1) for mark in marks) != "ABCDEFGH"[: len(marks)]:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    told = []
    for mark, end in zip(marks, ends, strict=True):
        content = text[mark.end() : end].split("\n")[0].rstrip(" \t\u3000;；,，")
        told.append((mark.end(), mark.end() + len(content)))
    return told if all(start < end for start, end in told) else []


def _moved(expected: str, contents: Sequence[str], order: Sequence[int]) -> str | None:
    """The right answer once option `order[i]` stands at letter i; None where that cannot be told."""
    if loose(expected) in map(loose, contents):
        return expected
    named = _NAMES_LETTER.match(expected.strip())
    if named is None or len(_ANY_LETTER.findall(expected)) > 1:
        return None
    right = ord(named.group(1)) - ord("A")
    if right >= len(contents):
        return None
    letter = chr(ord("A") + order.index(right))
    return expected.replace(named.group(1), letter, 1)


def _listed(asked: Asked, drawn: Random) -> Asked | None:
    """The first run of possible answers in any turn, in another order."""
    if len(asked.labels) < FEWEST:
        return None
    for at, turn in enumerate(asked.prompt):
        if places := _run(turn["content"], asked.labels):
            named = [turn["content"][start:end] for start, end in places]
            order = _shuffled(len(places), drawn)
            content = replaced(turn["content"], {place: named[order[i]] for i, place in enumerate(places)})
            return replace(asked, prompt=(*asked.prompt[:at], {**turn, "content": content}, *asked.prompt[at + 1 :]))
    return None


def _run(text: str, labels: Sequence[str]) -> list[tuple[int, int]]:
    """Where the answers stand that the first list of at least three different ones has."""
    any_label = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    one = rf"(?<![A-Za-z0-9])(?:{any_label})(?![A-Za-z0-9])"
    listed = re.compile(rf"{one}(?:{_BETWEEN}{one}){{{FEWEST - 1},}}", re.I)
    for match in listed.finditer(text):
        places = [
            (match.start() + found.start(), match.start() + found.end())
            for found in re.finditer(one, match.group(), re.I)
        ]
        if len({text[start:end] for start, end in places}) == len(places):
            return places
    return []


def _shuffled(count: int, drawn: Random) -> list[int]:
    """An order of `count` things that is not their own."""
    order = list(range(count))
    while order == list(range(count)):
        drawn.shuffle(order)
    return order


PERTURBATIONS.add(
    "option_order",
    Perturbation(
        name="option_order",
        about="The possible answers that the prompt lists stand in another order.",
        scripts=("latin", "zh", "zh + latin", "other"),
        severity="unseen",
        disturb=option_order,
        keeps=KEEPS,
    ),
)
