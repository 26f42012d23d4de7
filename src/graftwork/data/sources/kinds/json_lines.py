"""JSON lines: one object a line."""

from collections.abc import Iterator

from graftwork.core.errors import Problem
from graftwork.data.records import Origin
from graftwork.data.sources.found import Bad, Found, Row, bad
from graftwork.data.sources.json_values import decoded
from graftwork.data.sources.lines import blocks, undecodable
from graftwork.data.sources.reader import READERS, Kind, Opened

SHOWN = 80
"""Characters of a bad line that its message shows."""


def json_lines(opened: Opened) -> Iterator[Found]:
    """The objects of a file of JSON lines, each by its line; empty lines are passed over."""
    encoding, name = opened.text_encoding, opened.name
    for block in blocks(opened):
        if isinstance(block, Bad):
            yield block
            continue
        for number, line in enumerate(block.lines, block.first):
            try:
                value = decoded(line.decode(encoding))
            except (ValueError, RecursionError) as error:
                if line.strip():
                    yield _refused(Origin(name, number), line, encoding, error)
                continue
            if type(value) is dict:
                yield Row(Origin(name, number), value)
            else:
                yield _no_object(Origin(name, number), line, encoding)


def _refused(origin: Origin, line: bytes, encoding: str, error: Exception) -> Bad:
    if isinstance(error, UnicodeDecodeError):
        return undecodable(origin, line, error)
    said, reason = str(error), "json"
    if isinstance(error, RecursionError):
        said = "lists and objects too deep in each other"
    elif b"\0" in line:
        said, reason = "It holds null bytes: was writing it cut off, or is it no text?", "null bytes"
    elif b"\r" in line.strip():
        said = f"{said}. Lines that end in a carriage return alone are not told apart: save it with newlines."
    start = _start(line, encoding)
    return bad(origin, reason, Problem(str(origin), start, "one JSON object a line", said), line)


def _no_object(origin: Origin, line: bytes, encoding: str) -> Bad:
    return bad(origin, "not an object", Problem(str(origin), _start(line, encoding), "a JSON object"), line)


def _start(line: bytes, encoding: str) -> str:
    return line[: 8 * SHOWN].decode(encoding, "replace").strip()[:SHOWN]


KIND = Kind(name="JSON lines", read=json_lines)
READERS.add("jsonl", KIND)
READERS.add("ndjson", KIND)
