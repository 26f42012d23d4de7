"""JSON read strictly: what another reader could read otherwise, or a file could not hold, is refused. Pure."""

import json
import math
import re
from collections import Counter

from graftwork.core.spec import is_whole_text

DEEPEST = 64
"""Levels of lists and objects in each other. What is deeper breaks other tools, and no record needs it."""

SPACE = " \t\r\n"
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How halves of characters are written, alone or in pairs."""


def decoded(text: str) -> object:
    """The value that `text` is.

    Raises:
        ValueError: it is no JSON; or holds a key twice, a number no file can hold, or half a character.
        RecursionError: it is deep beyond all reading.

    >>> decoded('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> decoded('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' is written twice
    """
    whole = text.strip(SPACE)
    try:
        value, end = _scan(whole, 0)
    except StopIteration:
        value, end = DECODER.raw_decode(whole)  # which says in words what is wrong
    if end != len(whole):
        raise json.JSONDecodeError("Extra data", whole, end)
    check(value, whole, 0, end)
    return value


def check(value: object, text: str, start: int, end: int) -> None:
    """Refuse `value`, decoded from part of `text`, if it is too deep or holds half a character. Raises ValueError."""
    if text.count("[", start, end) + text.count("{", start, end) > DEEPEST and _depth(value) > DEEPEST:
        raise ValueError(f"lists and objects more than {DEEPEST} deep in each other")
    may_be_half = text.find("\\u", start, end) >= 0
    if may_be_half and HALF.search(text, start, end) and not is_whole_text(json.dumps(value, ensure_ascii=False)):
        raise ValueError("half a character: one \\ud... without the other")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice[:80]!r} is written twice")
    return row


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _depth(value: object) -> int:
    """Levels of lists and objects, without recursion: what is measured here may be deep."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [below for item in level for below in (item.values() if isinstance(item, dict) else item)]
    return depth


DECODER = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_float=_finite, parse_constant=_no_number)
_scan = DECODER.scan_once  # type: ignore[attr-defined]  # there, but in no annotation
