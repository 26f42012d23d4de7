"""JSON: a list of objects read entry by entry, one object, or objects one after the other.

The list may also be the first value of an object, as in {"data": [...]}. After an entry that cannot be read, reading
goes on at the next one that can: where its brackets close, or where another entry begins as the ones before did.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from graftwork.core.errors import Problem
from graftwork.core.spec import is_whole_text
from graftwork.data.records import Origin
from graftwork.data.sources.chunks import Damage
from graftwork.data.sources.found import Bad, Found, Row, bad
from graftwork.data.sources.json_values import DECODER, SPACE, check, decoded
from graftwork.data.sources.kinds.json_lines import json_lines
from graftwork.data.sources.reader import LONGEST_BYTES, READERS, Kind, Opened
from graftwork.data.sources.window import Window

WRAPPED = re.compile(r'\s*\{\s*"(?:data|rows|records|examples|train)"\s*:\s*\[')
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\[\]{},]')
FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\\n]|\\.)*")\s*:')
AFTER_AN_ENTRY = re.compile(r"\s*(?:,\s*\{|,?\s*\])")
HEAD_BYTES = 1 << 16
MOST_KEYS = 8
"""First keys of good entries that are remembered: after a bad one, the next begins with one of them."""

END_MARGIN = 16
"""Characters before the end of what is held within which a mistake may only be a value that is cut there."""


def json_list(opened: Opened) -> Iterator[Found]:
    """The entries of a JSON file, each by its number in the list."""
    if _is_lines(opened):
        yield from json_lines(opened)
        return
    window = Window(opened)
    first = window.skip()
    wrapped = WRAPPED.match(window.text)
    if first == "[" or wrapped:
        window.at = wrapped.end() if wrapped else window.at + 1
        yield from _entries(window, closes=True, is_wrapped=bool(wrapped))
    elif first == "{":
        yield from _entries(window, closes=False)
    elif first or window.damage:
        yield _no_list(window)


def _is_lines(opened: Opened) -> bool:
    """Whether the file is JSON lines under another name: one of its first lines is a whole object."""
    head = b""
    with suppress(Damage):
        for chunk in opened.unheard().chunks():
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
    lines = [line for line in head.decode(opened.text_encoding, "replace").split("\n")[:20] if line.strip()]
    num_objects = sum(_is_object(line) for line in lines)
    return bool(num_objects) and lines[0][0] == "{" and (num_objects > 1 or not WRAPPED.match(lines[0]))


def _is_object(line: str) -> bool:
    try:
        return line[0] == "{" and isinstance(decoded(line), dict)
    except (ValueError, RecursionError):
        return False


def _entries(window: Window, *, closes: bool, is_wrapped: bool = False) -> Iterator[Found]:
    number, keys = 0, dict[str, None]()
    while char := window.skip(SPACE + ","):
        if char == "]" and closes:
            window.at += 1
            if is_wrapped or not window.skip():
                return
            yield _after_the_end(window)
            if window.text[window.at] == "[":
                window.at += 1
            continue
        number += 1
        found = _entry(window, Origin(window.opened.name, number, "entry"), keys)
        if isinstance(found, Row) and len(keys) < MOST_KEYS and found.data:
            keys[json.dumps(next(iter(found.data)), ensure_ascii=False)] = None
        yield found
    if window.damage:
        yield window.opened.damaged(window.damage, window.line_at(window.at), "")
    elif closes:
        hint = "What comes before is used. Was writing it cut off?"
        where = Origin(window.opened.name, window.line_at(window.at))
        yield bad(where, "truncated", Problem(str(where), "the end of the file", "a list that ends in ]", hint), "")


def _entry(window: Window, origin: Origin, keys: dict[str, None]) -> Found:
    """The entry at the window's place, which moves behind it."""
    while True:
        try:
            value, end = DECODER.raw_decode(window.text, window.at)
            if end == len(window.text) and window.more():
                continue  # a number may go on
            if window.is_broken and not is_whole_text(window.text[window.at : end]):
                return _skipped(window, origin, keys, "utf-8", "bytes that are no text of its encoding")
            check(value, window.text, window.at, end)
        except json.JSONDecodeError as error:
            if _may_be_cut(error, window.text) and window.more():
                continue
            said = f"{error.msg}, line {window.line_at(max(error.pos, window.at))} of the file"
            return _skipped(window, origin, keys, *_reason(window, error.pos, said))
        except ValueError as error:
            return _skipped(window, origin, keys, "json", str(error), is_sound=True)
        except RecursionError:
            said = "lists and objects too deep in each other"
            return _skipped(window, origin, keys, "json", said, is_sound=True)
        start, window.at = window.at, end
        if type(value) is dict:
            return Row(origin, value)
        raw = window.text[start : min(end, start + 2_000)]
        return bad(origin, "not an object", Problem(str(origin), value, "a JSON object"), raw)


def _may_be_cut(error: json.JSONDecodeError, text: str) -> bool:
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - END_MARGIN


def _reason(window: Window, place: int, said: str) -> tuple[str, str]:
    if len(window.text) - window.at > LONGEST_BYTES:
        return "too long", f"It is longer than {LONGEST_BYTES >> 20} MB."
    around = window.text[max(window.at, place - 1) : place + 2]
    if not is_whole_text(around):
        return "utf-8", "bytes that are no text of its encoding"
    return ("null bytes", "It holds null bytes.") if "\0" in around else ("json", said)


def _skipped(
    window: Window, origin: Origin, keys: dict[str, None], reason: str, said: str, *, is_sound: bool = False
) -> Bad:
    """What is wrong with the entry at the window's place, which moves to where the next may begin.

    Args:
        is_sound: whether its brackets can be trusted, as when only a value in it is wrong.
    """
    while len(window.text) - window.at < HEAD_BYTES and window.more():
        pass  # so that where the file was cut on the way makes no difference
    if window.at > HEAD_BYTES:
        window.let_go()  # an error counts all lines before it, which adds up when there are many
    raw = window.text[window.at : window.at + 2_000]
    problem = Problem(str(origin), raw.split("\n")[0][:80], "one JSON list of objects", said)
    alike = _beginning(window, keys)
    while not (place := _next_place(window.text, window.at, alike, is_sound=is_sound)):
        if window.more():
            continue
        if is_sound:
            is_sound = False  # its brackets are never closed
            continue
        is_end = len(window.text) - window.at <= LONGEST_BYTES
        place = len(window.text) if is_end else len(window.text) - HEAD_BYTES
        break
    window.at = place
    return bad(origin, reason, problem, raw)


def _beginning(window: Window, keys: dict[str, None]) -> re.Pattern[str]:
    """How entries begin: as good ones did, or as the one at the window's place does; as any object if none is known."""
    own = FIRST_KEY.match(window.text, window.at)
    known = dict.fromkeys([*keys, *([own[1]] if own else [])])
    return re.compile(r"(?<!:)(?<!: )\{\s*(?:" + ("|".join(map(re.escape, known)) or '"[^"\n]*"') + r")\s*:")


def _next_place(text: str, start: int, alike: re.Pattern[str], *, is_sound: bool) -> int:
    """Where to read on after what begins at `start` and cannot be read; 0 if that is not to be seen yet."""
    if is_sound:
        return _closed(text, start, len(text))
    found = alike.search(text, start + 1)
    similar = found.start() if found else 0
    closed = _closed(text, start, similar or len(text))
    if closed and (not similar or AFTER_AN_ENTRY.match(text, closed)):
        return closed
    return similar


def _closed(text: str, start: int, limit: int) -> int:
    """Where the brackets that open at `start` are closed, or a comma or bracket ends what has none; 0 if nowhere."""
    depth = 0
    for token in TOKEN.finditer(text, start, limit):
        char = token[0]
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
            if depth < 0:
                return token.start() if token.start() > start else token.end()
            if depth == 0:
                return token.end()
        elif char == "," and depth == 0:
            return token.start()
    return 0


def _after_the_end(window: Window) -> Bad:
    where = Origin(window.opened.name, window.line_at(window.at))
    raw = window.text[window.at : window.at + 2_000]
    return bad(where, "json", Problem(str(where), raw[:80], "nothing after the end of the list"), raw)


def _no_list(window: Window) -> Bad:
    where = Origin(window.opened.name, window.line_at(window.at))
    raw = window.text[window.at : window.at + 2_000]
    if window.damage:
        return window.opened.damaged(window.damage, where.line, raw)
    reason, said = _reason(window, window.at, "")
    return bad(where, reason, Problem(window.opened.name, raw[:80], "a list of objects", said), raw)


READERS.add("json", Kind(name="JSON", read=json_list))
