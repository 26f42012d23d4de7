"""Files of records: JSON lines, JSON and CSV, read whole with the origin of every row."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from graftwork.core.catalog import Catalog
from graftwork.core.errors import NotFoundError, Problem, SpecError, did_you_mean
from graftwork.data.layouts import LAYOUTS, LayoutError, Row, recognised
from graftwork.data.records import Origin, Record

Found = tuple[int, Row] | Problem
"""A row with its line, or what is wrong there."""

READERS: Catalog[Callable[[Path], Iterator[Found]]] = Catalog("kind of file")


def read_records(path: Path, *, layout: str | None, system: str | None) -> list[Record]:
    """All records of a file.

    Args:
        layout: name in LAYOUTS; None to see it from the first row's keys.
        system: system message for records that have none.

    Raises:
        NotFoundError: there is no such file.
        SpecError: every row that cannot be used, by file and line; or the file holds none.
    """
    found = list(_found(path))
    rows = [entry for entry in found if not isinstance(entry, Problem)]
    problems = [entry for entry in found if isinstance(entry, Problem)]
    if not rows and not problems:
        problems = [Problem(str(path), 0, "at least one record")]
    if rows and layout is None:
        layout = recognised([str(key) for key in rows[0][1]], f"{path} line {rows[0][0]}")
    records = []
    for line, row in rows:
        origin = Origin(str(path), line)
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
        yield from READERS[kind](path)
    except UnicodeDecodeError as error:
        raise SpecError([Problem(str(path), f"byte {error.start}", "UTF-8 text", str(error.reason))]) from error


def _record(row: Row, layout: str, system: str | None, origin: Origin) -> Record:
    needed = LAYOUTS[layout].needs
    if missing := [key for key in needed if key not in row]:
        near = " ".join(filter(None, (did_you_mean(key, map(str, row)) for key in missing)))
        raise LayoutError(missing[0], list(row), f"the keys {', '.join(needed)} of the layout {layout}", near)
    turns = LAYOUTS[layout].turns(row)
    if system and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    return Record(tuple(turns), origin)


def _json_lines(path: Path) -> Iterator[Found]:
    with path.open("r", encoding="utf-8-sig", newline="\n") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _json_row(text, f"{path} line {line}", line)


def _json_row(text: str, where: str, line: int) -> Found:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return Problem(where, text.strip()[:80], "one JSON object a line", str(error))
    if not isinstance(row, dict):
        return Problem(where, text.strip()[:80], "a JSON object")
    return line, row


def _json(path: Path) -> Iterator[Found]:
    text = path.read_text("utf-8-sig")
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        yield Problem(f"{path} line {line}", text[:80], "one JSON list of objects", str(error))
        return
    if not isinstance(rows, list):
        yield Problem(str(path), text[:80], "a list of objects")
        return
    for number, row in enumerate(rows, 1):
        yield ((number, row) if isinstance(row, dict) else Problem(f"{path} entry {number}", row, "a JSON object"))


def _csv(path: Path) -> Iterator[Found]:
    csv.field_size_limit(1 << 30)
    with path.open("r", encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                return
            for cells in reader:
                if cells:
                    yield _csv_row(header, cells, path, reader.line_num)
        except csv.Error as error:
            yield Problem(f"{path} line {reader.line_num}", str(error), "CSV with quotes that close")


def _csv_row(header: Sequence[str], cells: Sequence[str], path: Path, line: int) -> Found:
    if len(cells) != len(header):
        return Problem(f"{path} line {line}", list(islice(cells, 5)), f"{len(header)} cells, as the header has")
    return line, dict(zip(header, cells, strict=True))


READERS.add("jsonl", _json_lines)
READERS.add("json", _json)
READERS.add("csv", _csv)
