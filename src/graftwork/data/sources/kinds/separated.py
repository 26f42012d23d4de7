"""CSV and TSV: a header, then a row a line; a cell in quotes may hold lines.

A row that cannot be read ends at its first line: a quote that is never closed takes no row after it along.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from graftwork.core.errors import Problem
from graftwork.core.spec import is_whole_text
from graftwork.data.records import Origin
from graftwork.data.sources.chunks import MARKED
from graftwork.data.sources.found import Bad, Found, Row, bad, escaped, of_file
from graftwork.data.sources.lines import blocks
from graftwork.data.sources.reader import LONGEST_BYTES, READERS, Kind, Opened

Line = tuple[int, str]

MOST_LINES = 100_000
"""Most lines of one row: how far is looked for the end of a quote that may never close."""

WHOLE_CELLS = re.compile(r'(?:[^",]*|"(?:[^"]|"")*")(?:,(?:[^",]*|"(?:[^"]|"")*"))*\s*')
"""A row in which quotes stand around whole cells only."""


class _NoEnd(Exception):  # noqa: N818  caught in this file
    """A row that has no end within what a row may hold."""


class _Feed:
    """Lines for the reader of a table, which can be given back.

    Attributes:
        pulled: lines that the row being read has taken.
        bads: lines that are none, in order.
        doubtful_to: last line that may be part of a row that was refused, rather than a row by itself.
    """

    def __init__(self, opened: Opened) -> None:
        self._source = _lines(opened)
        self._again: deque[Line] = deque()
        self._num_characters = 0
        self.pulled: list[Line] = []
        self.bads: list[Bad] = []
        self.doubtful_to = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        if isinstance(line, Bad):
            self.bads.append(line)
            if self.pulled:
                raise _NoEnd
            return ""
        self.pulled.append(line)
        self._num_characters += len(line[1])
        if self._num_characters > LONGEST_BYTES or len(self.pulled) > MOST_LINES:
            raise _NoEnd
        return line[1]

    def next_row(self) -> None:
        """Let go of the lines of the last row."""
        self.pulled, self._num_characters = [], 0

    def refuse(self) -> None:
        """Keep only the first line of the row being read; let the others come again, as lines to doubt."""
        self.doubtful_to = max(self.doubtful_to, self.pulled[-1][0] + 1)
        self._again.extendleft(reversed(self.pulled[1:]))
        del self.pulled[1:]


def separated(opened: Opened, *, delimiter: str) -> Iterator[Found]:
    """The rows of a table, each by the line it begins on."""
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_BYTES))  # the lines are limited already
    feed, header = _Feed(opened), list[str]()
    for cells in _rows(feed, opened.name, delimiter):
        if isinstance(cells, Bad):
            yield cells
            if not header:
                return  # without one, nothing after it can be told
            continue
        if len(cells) == 1 and not cells[0].strip():
            continue
        if not header:
            header = [name.strip() for name in cells]
            if wrong := _wrong_header(header, feed.pulled, opened.name):
                yield wrong
                return
            continue
        yield from _found(header, cells, feed, opened.name, delimiter)


def _rows(feed: _Feed, name: str, delimiter: str) -> Iterator[list[str] | Bad]:
    """The cells of each row, whose lines are `feed.pulled` while it is looked at."""
    reader = csv.reader(feed, strict=True, delimiter=delimiter)
    while True:
        feed.next_row()
        cells: list[str] | Bad | None
        try:
            cells = next(reader, None)
        except (csv.Error, _NoEnd) as error:
            reader = csv.reader(feed, strict=True, delimiter=delimiter)
            cells = _refused(error, feed, name, delimiter)
        waiting, feed.bads = feed.bads, []
        yield from waiting
        if cells:
            yield cells
        if cells is None:
            return


def _refused(error: Exception, feed: _Feed, name: str, delimiter: str) -> list[str] | Bad:
    feed.refuse()
    number, text = feed.pulled[0]
    if delimiter == "\t" and "\t" in text:
        return text.rstrip("\r\n").split("\t")  # many programs write tables with tabs and mean no quotes
    origin = Origin(name, number)
    hint = "Reading goes on at the next line."
    given = str(error) or f"a row of more than {MOST_LINES} lines or {LONGEST_BYTES >> 20} MB"
    reason = _not_text(text) or "csv"
    return bad(origin, reason, Problem(str(origin), given, "CSV with quotes that close", hint), text)


def _not_text(text: str) -> str | None:
    """The reason why `text` cannot be used as text, if there is one."""
    if "\0" in text:
        return "null bytes"
    return None if is_whole_text(text) else "utf-8"


def _wrong_header(header: Sequence[str], lines: Sequence[Line], name: str) -> Bad | None:
    text = "".join(line for _, line in lines)
    where = Origin(name, lines[0][0])
    if reason := _not_text(text):
        problem = Problem(str(where), escaped(text[:80]), "a header that is text", "Set encoding, or save it as UTF-8.")
        return bad(of_file(name), reason, problem, text)
    if twice := sorted(column for column, times in Counter(header).items() if column and times > 1):
        return bad(of_file(name), "header", Problem(str(where), twice, "each column once"), text)
    return None


def _found(header: list[str], cells: list[str], feed: _Feed, name: str, delimiter: str) -> Iterator[Found]:
    lines = feed.pulled
    origin = Origin(name, lines[0][0])
    raw = "".join(text for _, text in lines)
    if len(cells) != len(header):
        shown = list(islice(cells, 5))
        expected = f"{len(header)} cells, as the header has"
        if len(lines) > 1 and all(_is_row(text, len(header), delimiter) for _, text in lines[1:]):
            feed.refuse()  # a quote was left open and closed by chance
        yield bad(origin, "csv", Problem(str(origin), shown, expected), raw)
    elif delimiter == "," and origin.line <= feed.doubtful_to and not WHOLE_CELLS.fullmatch(raw):
        feed.refuse()
        hint = "It may be part of the row before it."
        yield bad(origin, "csv", Problem(str(origin), cells[:5], "a row with quotes around whole cells", hint), raw)
    elif reason := _not_text(raw):
        problem = Problem(str(origin), escaped(raw[:80]), "text", "Set encoding, or save it as UTF-8.")
        yield bad(origin, reason, problem, raw)
    elif cells == header:
        hint = "Two files joined? The header counts once."
        yield bad(origin, "header", Problem(str(origin), cells[:5], "a row", hint), lines[0][1])
    else:
        yield Row(origin, dict(zip(header, cells, strict=True)))


def _is_row(text: str, num_cells: int, delimiter: str) -> bool:
    try:
        return [len(cells) for cells in csv.reader([text], strict=True, delimiter=delimiter)] == [num_cells]
    except csv.Error:
        return False


def _lines(opened: Opened) -> Iterator[Line | Bad]:
    encoding = opened.text_encoding
    for block in blocks(opened):
        if isinstance(block, Bad):
            yield block
            continue
        for number, line in enumerate(block.lines, block.first):
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError:
                text = line.decode(encoding, MARKED)
            yield number, f"{text}\n"


CSV = partial(separated, delimiter=",")
READERS.add("csv", Kind(name="CSV", read=CSV))
READERS.add("tsv", Kind(name="TSV", read=partial(separated, delimiter="\t")))
