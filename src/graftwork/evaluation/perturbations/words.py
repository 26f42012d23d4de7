"""Long English words of a question, in which a slip of a letter leaves the word readable. Pure."""

import re
from collections.abc import Callable, Sequence
from random import Random

from graftwork.data.privacy.lists import word_set
from graftwork.evaluation.perturbations.protect import Span, is_open

SHORTEST = 5
"""Letters of a word in which a slip is read over; "form" and "from" are both words."""

ONE_IN = 8
"""A slip for so many long words, one at least."""

MOST = 6
_WORD = re.compile(r"(?<![\w'’-])[A-Za-z][a-z]{4,}(?![\w'’-])")


def slipped(text: str, spans: Sequence[Span], drawn: Random, slip: Callable[[str, Random], str]) -> str | None:
    """`text` with `slip` in some of its long words outside of `spans`; None where there is no such word.

    A slip that gives a usual English word is no slip but another word, and is not made.
    """
    words = [match.span() for match in _WORD.finditer(text) if is_open(spans, *match.span())]
    wanted = min(MOST, -(-len(words) // ONE_IN))
    edits: dict[Span, str] = {}
    for start, end in drawn.sample(words, len(words)):
        if len(edits) == wanted:
            break
        after = slip(text[start:end], drawn)
        if after != text[start:end] and after.lower() not in _usual():
            edits[start, end] = after
    return replaced(text, edits) if edits else None


def replaced(text: str, edits: dict[Span, str]) -> str:
    """`text` with other words at some places.

    >>> replaced("a b c", {(0, 1): "x", (4, 5): "yy"})
    'x b yy'
    """
    for (start, end), word in sorted(edits.items(), reverse=True):
        text = text[:start] + word + text[end:]
    return text


def inner(word: str, drawn: Random) -> int:
    """A place in `word` that is neither its first letter nor one of its last two."""
    return drawn.randrange(1, len(word) - 2)


def _usual() -> frozenset[str]:
    return word_set("words_en.txt", "words")
