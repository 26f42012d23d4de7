"""Text that was cut off somewhere: cut a little earlier, so that no half of a name or a number is left to be read.

A half is not recognised as what it was: of a telephone number's first six digits nobody can tell what they are.
"""

import re

HALF = re.compile(r"(?:\d+[ -]?){0,8}[^\s\]\[]{0,40}")
"""What may be a half, read from the cut backwards: groups of digits, and the word before them."""

MARK = re.compile(r" \.\.\. \(\d+ characters\)")
"""How a message says that it shows the beginning of something long."""


def cut_earlier(text: str) -> str:
    """`text`, which ends where it was cut.

    >>> cut_earlier("call me: 010 8888")
    'call ...'
    """
    return text[: _whole(text)].rstrip() + " ..."


def cuts_earlier(text: str) -> str:
    """`text`, in which whatever is long was cut and marked.

    >>> cuts_earlier("expected 'call me: 010 8888 ... (400 characters), not a list")
    "expected 'call ... (400 characters), not a list"
    """
    parts, at = [], 0
    for mark in MARK.finditer(text):
        before = text[at : mark.start()]
        parts += [before[: _whole(before)].rstrip(), mark[0]]
        at = mark.end()
    return "".join([*parts, text[at:]])


def _whole(text: str) -> int:
    """Characters of `text` before what may be a half. Linear in what is cut; searched forwards, it was quadratic."""
    half = HALF.match(text[::-1])
    return len(text) - (half.end() if half else 0)
