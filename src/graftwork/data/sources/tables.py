"""Arrow tables, from Parquet, Arrow files or a hub, to rows; numbers that stand for labels become their names."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from graftwork.core.errors import Problem
from graftwork.data.records import Origin
from graftwork.data.sources.found import Bad, Found, Row, bad, of_file

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 1_000

Names = Mapping[str, Sequence[str]]
"""By column, what its numbers stand for."""


def rows_of(batches: Iterator["pyarrow.RecordBatch"], file: str, names: Names) -> Iterator[Found]:
    """The rows of all batches, counted from 1 through the file. A batch that cannot be had ends it, as one Bad."""
    from pyarrow import ArrowException

    number = 0
    while True:
        try:
            batch = next(batches, None)
        except (ArrowException, OSError, ValueError) as error:
            yield damaged(file, error, Origin(file, number + 1, "row"))
            return
        if batch is None:
            return
        for row in _rows(batch):
            number += 1
            origin = Origin(file, number, "row")
            yield _unreadable(origin, row) if isinstance(row, Exception) else Row(origin, named(row, names))


def names_in(metadata: Mapping[bytes, bytes] | None) -> Names:
    """What `datasets` has written beside a table: names of the labels whose numbers are in it."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if _is_label(feature)
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # written by another program, or none
        return {}


def named(row: dict[str, object], names: Names) -> dict[str, object]:
    """`row` with names for numbers that stand for one; -1, for a row without a label, stays."""
    for column, known in names.items():
        value = row.get(column)
        if type(value) is int and 0 <= value < len(known):
            row[column] = known[value]
    return row


def repeated(columns: Sequence[str], file: str) -> Bad | None:
    """What is wrong with a table that has two columns of one name."""
    twice = sorted(column for column, times in Counter(columns).items() if times > 1)
    return bad(of_file(file), "header", Problem(file, twice, "each column once"), "") if twice else None


def damaged(file: str, error: Exception, origin: Origin) -> Bad:
    """A file, or the rest of one, that its library cannot read."""
    hint = "What comes before is used. Copy or write the file again."
    said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    where = str(origin) if origin.unit != "file" else file
    return bad(origin, "damaged", Problem(where, said, "a file that is whole", hint), "")


def _rows(batch: "pyarrow.RecordBatch") -> Iterator[dict[str, object] | Exception]:
    rows = _tried(batch.to_pylist)
    if not isinstance(rows, Exception):
        yield from rows
        return
    for i in range(batch.num_rows):  # one value cannot be had: look for it, row by row
        one = _tried(batch.slice(i, 1).to_pylist)
        yield one if isinstance(one, Exception) else one[0]


def _tried(read: Callable[[], list[dict[str, object]]]) -> list[dict[str, object]] | Exception:
    from pyarrow import ArrowException

    try:
        return read()
    except (ArrowException, ValueError, OverflowError) as error:
        return error


def _unreadable(origin: Origin, error: Exception) -> Bad:
    reason = "utf-8" if isinstance(error, UnicodeDecodeError) else "value"
    return bad(origin, reason, Problem(str(origin), str(error)[:200], "values that can be read"), "")


def _is_label(feature: object) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
