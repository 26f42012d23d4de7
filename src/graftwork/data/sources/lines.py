"""Bytes to lines: split at each newline, numbered, with a limit on what one line may hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from graftwork.core.errors import Problem
from graftwork.data.records import Origin
from graftwork.data.sources.chunks import Damage
from graftwork.data.sources.found import Bad, bad
from graftwork.data.sources.reader import LONGEST_BYTES, Opened


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other, without their newlines; `first` is the number of the first, counted from 1."""

    first: int
    lines: list[bytes]


def blocks(opened: Opened) -> Iterator[Block | Bad]:
    """All lines of a file, many at a time because that is fast; a line that is too long is Bad, as is a cut file."""
    number, held, held_bytes = 1, [b""], 0
    try:
        for chunk in opened.chunks():
            head, *others = chunk.split(b"\n")
            held.append(head)
            held_bytes += len(head)
            if held_bytes > LONGEST_BYTES:
                del held[2:]  # its beginning is enough to show it
            if not others:
                continue
            yield _whole(opened, number, held, held_bytes)
            yield Block(number + 1, others[:-1])
            number += len(others)
            held, held_bytes = [others[-1]], len(others[-1])
    except Damage as damage:
        yield opened.damaged(damage, number, b"".join(held))
        return
    if held_bytes:
        yield _whole(opened, number, held, held_bytes)


def undecodable(origin: Origin, line: bytes, error: UnicodeDecodeError) -> Bad:
    """A line that is no text of the encoding that was asked for."""
    expected = f"{error.encoding.upper()} text"
    given = line[error.start : error.start + 1]
    problem = Problem(str(origin), f"byte {error.start}: {given!r}", expected, _other_encoding(line, error.encoding))
    return bad(origin, "utf-8" if error.encoding == "utf-8" else "encoding", problem, line)


def _other_encoding(line: bytes, encoding: str) -> str:
    """What to do about a line that cannot be decoded; GB18030 says yes to much, so only text that looks Chinese."""
    if encoding != "utf-8":
        return "Is it UTF-8? Then leave encoding out."
    try:
        text = line.decode("gb18030")
    except UnicodeDecodeError:
        return "Save the file as UTF-8."
    if any("\u4e00" <= character <= "\u9fff" for character in text):
        return "It can be read as GB18030: set encoding: gb18030."
    return "Save the file as UTF-8."


def _whole(opened: Opened, number: int, held: list[bytes], held_bytes: int) -> Block | Bad:
    if held_bytes <= LONGEST_BYTES:
        return Block(number, [b"".join(held)])
    origin = Origin(opened.name, number)
    expected = f"a line of at most {LONGEST_BYTES >> 20} MB"
    hint = "Is it one record a line?"
    return bad(origin, "too long", Problem(str(origin), f"{held_bytes} bytes", expected, hint), b"".join(held[:2]))
