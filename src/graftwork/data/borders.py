"""Where a text may be cut well: sentences, lines, turns, as indices of tokens. Pure."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

SENTENCE_END = re.compile(
    r"""
      [。！？；…]+[”’」』）】]*\s*          # Chinese, Japanese: no space follows
    | (?<![.!?])[.!?]++["'”’)\]]*\s+(?=["'“‘(\[¿¡]*[^\W_a-zß-öø-ÿ])  # Latin: a space, then what may begin a sentence
    | (?<![.!?])[.!?]++["'”’)\]]*\s*\n\s*
    | \n\s*                                # a line of its own, a paragraph
    """,
    re.VERBOSE,
)


def sentence_starts(text: str) -> list[int]:
    """Characters of `text` at which a sentence, a line or a paragraph begins, but its first.

    >>> sentence_starts("It is 3.5 mm. Take two.\\nRest. 好的。谢谢！")
    [14, 24, 33]
    """
    return [match.end() for match in SENTENCE_END.finditer(text) if match.end() < len(text)]


def token_indices(characters: Iterable[int], text: str, offsets_T2: Sequence[tuple[int, int]]) -> list[int]:
    """For each of `characters` of `text` the first token that begins there, or later, without repetition, in order.

    A token may begin with the white space before the character.
    """
    starts = [begin for begin, _ in offsets_T2]
    return sorted({_token_at(character, text, starts) for character in characters})


def _token_at(character: int, text: str, starts: Sequence[int]) -> int:
    at = bisect_left(starts, character)
    if at and at < len(starts) and starts[at] == character:
        return at
    return at - 1 if at and text[starts[at - 1] : character].isspace() else at
