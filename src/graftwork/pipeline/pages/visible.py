"""Text from outside, safe to look at: characters that nobody sees, or that turn others around, get a mark. Pure."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, marks of writing direction, spaces without width, halves of pairs. Joiners stay: emoji and scripts need
them."""

WHITE = {" ": "·", "\t": "⇥", "\n": "↵\n", "\u3000": "□", "\u00a0": "⍽"}
"""How white space is shown where it is what matters."""

ALIKE = 2
"""Characters alike between two changes that are shown as one, because a reader sees one."""


def visible(text: str) -> Iterator[tuple[str, bool]]:
    """`text` in parts; true for a mark that stands for a character nobody would see.

    >>> list(visible("pay\\u202e100"))
    [('pay', False), ('U+202E', True), ('100', False)]
    """
    at = 0
    for found in UNSEEN.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], False
        yield f"U+{ord(found.group()):04X}", True
        at = found.end()
    if at < len(text):
        yield text[at:], False


def plain(text: str) -> str:
    """`text` with its marks in words, for a place that shows nothing but text.

    >>> plain("pay\\u202e100")
    'pay<U+202E>100'
    """
    return "".join(f"<{part}>" if is_mark else part for part, is_mark in visible(text))


def with_white_space(text: str) -> str:
    """`text` with signs for its white space.

    >>> with_white_space("a b\\t")
    'a·b⇥'
    """
    return "".join(WHITE.get(character, character) for character in text)


def differences(before: str, after: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts in parts; true for what the other does not have.

    >>> differences("a  b", "a b")
    ([('a ', False), (' ', True), ('b', False)], [('a b', False)])
    """
    one: list[tuple[str, bool]] = []
    other: list[tuple[str, bool]] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        changed = tag != "equal"
        _put(one, before[a:b], changed)
        _put(other, after[c:d], changed)
    return _calm(one), _calm(other)


def _put(parts: list[tuple[str, bool]], text: str, changed: bool) -> None:
    if not text:
        return
    if parts and parts[-1][1] == changed:
        parts[-1] = parts[-1][0] + text, changed
    else:
        parts.append((text, changed))


def _calm(parts: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """`parts` without the few equal characters between changes, which make a reader see flicker."""
    calm: list[tuple[str, bool]] = []
    for i, (text, changed) in enumerate(parts):
        is_between = 0 < i < len(parts) - 1 and len(text) <= ALIKE and bool(text.strip())
        _put(calm, text, changed or is_between)
    return calm
