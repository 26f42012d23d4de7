"""Plain text: one record a file; a long one becomes pieces that end where a paragraph does, to keep memory small."""

from collections.abc import Iterator

from graftwork.core.errors import Problem
from graftwork.core.spec import is_whole_text
from graftwork.data.records import Origin
from graftwork.data.sources.found import Found, Row, bad, escaped
from graftwork.data.sources.reader import READERS, Kind, Opened
from graftwork.data.sources.window import Window

MOST_CHARACTERS = 1 << 20
"""Longest piece of a text."""


def plain_text(opened: Opened) -> Iterator[Found]:
    """The text of a file under the key `text`, in pieces by the line they begin on. Joined, they are the file."""
    window = Window(opened)
    while True:
        while len(window.text) - window.at <= MOST_CHARACTERS and window.more():
            pass
        if window.damage and len(window.text) - window.at <= MOST_CHARACTERS:
            rest = window.text[window.at :]
            yield opened.damaged(window.damage, window.line_at(window.at), rest)
            return
        piece = _piece(window.text, window.at)
        if not piece:
            return
        line = window.line_at(window.at)
        window.at += len(piece)
        if piece.strip():
            yield _found(piece, Origin(opened.name, line))


def _piece(text: str, start: int) -> str:
    """The text from `start` on, up to the last end of a paragraph, of a line or of a word that fits."""
    if len(text) - start <= MOST_CHARACTERS:
        return text[start:]
    for border in ("\n\n", "\n\r\n", "\n", " "):
        place = text.rfind(border, start + MOST_CHARACTERS // 2, start + MOST_CHARACTERS)
        if place >= 0:
            return text[start : place + len(border)]
    return text[start : start + MOST_CHARACTERS]


def _found(piece: str, origin: Origin) -> Found:
    if "\0" in piece:
        hint = "It holds null bytes: is it no text?"
        return bad(origin, "null bytes", Problem(str(origin), escaped(piece[:80]), "text", hint), piece)
    if not is_whole_text(piece):
        hint = "Set encoding, or save it as UTF-8."
        return bad(origin, "utf-8", Problem(str(origin), escaped(_around_break(piece)), "text", hint), piece)
    return Row(origin, {"text": piece})


def _around_break(piece: str) -> str:
    """The part of a text around its first byte that is none."""
    place = next(i for i, character in enumerate(piece) if not is_whole_text(character))
    return piece[max(0, place - 40) : place + 40]


KIND = Kind(name="text", read=plain_text)
READERS.add("txt", KIND)
READERS.add("md", KIND)
