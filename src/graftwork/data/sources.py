"""Files of records: JSON lines, JSON and CSV, read whole with the origin of every row."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from graftwork.core.catalog import Catalog
from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.data.layouts import LAYOUTS, LayoutError, Row, nearest, recognised
from graftwork.data.records import Origin, Record

Found = tuple[Origin, Row] | Problem
"""A row with its origin, or what is wrong there."""

READERS: Catalog[Callable[[Path, str], Iterator[Found]]] = Catalog("kind of file")
"""By the ending of the file's name: from its path, for origins, and its text."""


def read_records(path: Path, *, layout: str | None, system: str | None) -> list[Record]:
    """All records of a file.

    Args:
        layout: name in LAYOUTS; None to see it from the first row's keys.
        system: system message for records that have none.

    Raises:
        NotFoundError: there is no such file, or no such layout.
        SpecError: every row that cannot be used, by file and line; or the file holds none.
    """
    found = list(_found(path))
    rows = [entry for entry in found if not isinstance(entry, Problem)]
    problems = [entry for entry in found if isinstance(entry, Problem)]
    if not rows and not problems:
        problems = [Problem(str(path), 0, "at least one record")]
    if rows and layout is None:
        try:
            layout = recognised([str(key) for key in rows[0][1]], str(rows[0][0]))
        except SpecError as error:
            raise SpecError([*error.problems, *problems]) from error
    records = []
    for origin, row in rows:
        try:
            records.append(_record(row, layout or "", system, origin))
        except LayoutError as error:
            problems.append(Problem(f"{origin}: {error.key}", error.value, error.expected, error.hint))
    if problems:
        raise SpecError(problems)
    return records


def _found(path: Path) -> Iterator[Found]:
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NotFoundError(f"no data file at {path}. {did_you_mean(path.name, beside)}".strip())
    kind = path.suffix.lower().removeprefix(".")
    if kind not in READERS:
        expected = f"a file that ends in {', '.join('.' + name for name in READERS)}"
        raise SpecError([Problem("data file", str(path), expected)])
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError([Problem(str(path), f"byte {error.start}", "UTF-8 text", str(error.reason))]) from error
    yield from READERS[kind](path, text)


def _record(row: Row, layout: str, system: str | None, origin: Origin) -> Record:
    needed = LAYOUTS[layout].needs
    if missing := [key for key in needed if key not in row]:
        expected = f"the keys {', '.join(needed)} of the layout {layout}"
        raise LayoutError(missing[0], list(row), expected, nearest(row, needed))
    turns = LAYOUTS[layout].turns(row)
    if system and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    return Record(tuple(turns), origin)


def _json_lines(path: Path, text: str) -> Iterator[Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            origin = Origin(str(path), number)
            try:
                row = _decoded(line)
            except (ValueError, RecursionError) as error:
                yield Problem(str(origin), line.strip()[:80], "one JSON object a line", str(error))
                continue
            yield (origin, row) if isinstance(row, dict) else Problem(str(origin), line.strip()[:80], "a JSON object")


def _json(path: Path, text: str) -> Iterator[Found]:
    try:
        rows = _decoded(text)
    except (ValueError, RecursionError) as error:
        where = f"{path} line {error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
        yield Problem(where, text[:80], "one JSON list of objects", str(error))
        return
    if not isinstance(rows, list):
        yield Problem(str(path), text[:80], "a list of objects")
        return
    for number, row in enumerate(rows, 1):
        origin = Origin(str(path), number, unit="entry")
        yield (origin, row) if isinstance(row, dict) else Problem(str(origin), row, "a JSON object")


def _decoded(text: str) -> object:
    return json.loads(text, object_pairs_hook=_each_key_once)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is written twice")
    return row


def _csv(path: Path, text: str) -> Iterator[Found]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # a cell may be as long as its file
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins, header = 1, None
    try:
        for cells in reader:
            if header is None:
                header = cells
                if twice := {name for name in header if header.count(name) > 1}:
                    yield Problem(f"{path} line 1", sorted(twice), "each column once")
                    return
            elif cells:
                yield _csv_row(header, cells, Origin(str(path), begins))
            begins = reader.line_num + 1
    except csv.Error as error:
        yield Problem(f"{path} line {begins}", str(error), "CSV with quotes that close")


def _csv_row(header: Sequence[str], cells: Sequence[str], origin: Origin) -> Found:
    if len(cells) != len(header):
        return Problem(str(origin), list(islice(cells, 5)), f"{len(header)} cells, as the header has")
    return origin, dict(zip(header, cells, strict=True))


READERS.add("jsonl", _json_lines)
READERS.add("json", _json)
READERS.add("csv", _csv)
