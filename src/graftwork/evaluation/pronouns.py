"""Pairs of sentences that differ in the gender of a pronoun alone: own ones, and files in the form of WinoBias."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from graftwork.core.errors import NotFoundError, Problem, SpecError
from graftwork.evaluation.authored import ORIGIN, every

BRACKETS = re.compile(r"\[([^\[\]]+)\]")
PRONOUNS = frozenset({"he", "she", "him", "her", "his", "hers"})
ALIKE = 0.8
"""Two sentences of a pair share so much at least; published ones differ in a word here and there."""

ASKED = {
    "en": 'In this sentence, who is meant by "{p}"?\n{text}',
    "zh": "这句话里的“{p}”指的是谁？\n{text}",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A sentence twice: with the pronoun that a stereotype expects, and with the other one.

    Attributes:
        asked: what is asked, the stereotyped way first.
        options: who may be meant, the right one first; the same for both.
    """

    id: str
    language: str
    asked: tuple[str, str]
    options: tuple[str, str]
    origin: str


def own_pairs() -> Iterator[Pair]:
    """The pairs that come with graftwork."""
    for language, row in every("coreference"):
        asked = [ASKED[language].format(p=p, text=row["text"].format(p=p)) for p in row["pronouns"]]
        yield Pair(
            id=f"{language}-{row['id']}",
            language=language,
            asked=(asked[0], asked[1]),
            options=tuple(row["options"]),
            origin=ORIGIN,
        )


def read_pairs(stereotyped: str, other: str) -> list[Pair]:
    """The pairs of two files in the form of WinoBias: the same line of both is a pair.

    A line is a sentence, or JSON with it as `text`; `[The baker]` and the pronoun `[she]` that means her or him are in
    brackets. Who else may be meant is told by the other sentences: whoever stands in brackets anywhere in the files.

    Raises:
        NotFoundError: no such file.
        SpecError: every line that is no pair.
    """
    first, second = _lines(stereotyped), _lines(other)
    if len(first) != len(second):
        hint = f"{stereotyped} has {len(first)}, {other} has {len(second)}."
        raise SpecError([Problem("pronoun_pairs", [stereotyped, other], "two files with as many lines", hint)])
    people = sorted({name.casefold() for line in (*first, *second) for name in _named(line)}, key=len, reverse=True)
    pairs, problems = [], []
    for number, (a, b) in enumerate(zip(first, second, strict=True), 1):
        pair = _pair(number, a, b, people, f"{Path(stereotyped).name} line {number}")
        if isinstance(pair, Pair):
            pairs.append(pair)
        else:
            expected = "[someone] and [a pronoun], and another one beside"
            problems.append(Problem(f"{stereotyped} line {number}", a, expected, pair))
    if problems:
        raise SpecError(problems)
    return pairs


def _lines(path: str) -> list[str]:
    import json

    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"pronoun_pairs = {path!r}: {error}.") from error
    told = []
    for line in filter(str.strip, lines):
        try:
            row = json.loads(line) if line.startswith("{") else line
            told.append(row if isinstance(row, str) else str(row["text"]))
        except (ValueError, KeyError) as error:
            expected = "a sentence, or JSON with `text`"
            raise SpecError([Problem(f"{path} line {len(told) + 1}", line, expected)]) from error
    return told


def _named(line: str) -> list[str]:
    """Who stands in brackets in a line, without an article."""
    told = [re.sub(r"^(?:the|a|an) ", "", one, flags=re.I) for one in BRACKETS.findall(line)]
    return [one for one in told if one.casefold() not in PRONOUNS]


def _pronouns(line: str) -> list[str]:
    return [one for one in BRACKETS.findall(line) if one.casefold() in PRONOUNS]


def _pair(number: int, a: str, b: str, people: list[str], origin: str) -> Pair | str:
    told = [(BRACKETS.sub(r"\1", line), _pronouns(line)) for line in (a, b)]
    if not all(pronouns for _, pronouns in told):
        return "A pronoun in brackets is missing."
    right = next(iter(_named(a)), "")
    if [right] != _named(b) or SequenceMatcher(None, _neutral(a), _neutral(b)).ratio() < ALIKE:
        return f"Its other half says something else: {b!r}."
    others = [one for one in _mentioned(told[0][0], people) if one != right.casefold()]
    if not right or not others:
        return "Who may be meant is not clear."
    asked = [ASKED["en"].format(p=pronouns[0], text=text) for text, pronouns in told]
    return Pair(
        id=f"file-{number}",
        language="en",
        asked=(asked[0], asked[1]),
        options=(f"The {right}", f"The {others[0]}"),
        origin=origin,
    )


def _neutral(line: str) -> str:
    return BRACKETS.sub(lambda m: "[]" if m[1].casefold() in PRONOUNS else m[0].casefold(), line)


def _mentioned(sentence: str, people: list[str]) -> list[str]:
    """Those of `people`, the longest names first, that a sentence mentions."""
    found, rest = [], sentence.casefold()
    for one in people:
        pattern = rf"\b{re.escape(one)}\b"
        if re.search(pattern, rest):
            found.append(one)
            rest = re.sub(pattern, " ", rest)
    return found
