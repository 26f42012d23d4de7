"""A file read whole, for those who want all of its records or none."""

from itertools import islice
from pathlib import Path

from graftwork.core.errors import Problem, SpecError, Told
from graftwork.data.layouts.layout import LAYOUTS, recognise, record_of
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.read import rows


def read_records(path: Path, *, layout: str | None, system: str | None) -> list[Record]:
    """All records of a file.

    Args:
        layout: name in LAYOUTS; None to see it from the keys of its first rows.
        system: system message for records that have none.

    Raises:
        NotFoundError: there is no such file, or no such layout.
        SpecError: every row that cannot be used, by file and line; or the file holds none.
    """
    found = list(rows(SourceSpec(path=str(path))))
    bads = [one for one in found if isinstance(one, Bad)]
    good = [one for one in found if isinstance(one, Row)]
    if layout is not None:
        LAYOUTS[layout]
    elif good:
        try:
            layout = recognise(list(islice(good, 100)))
        except SpecError as error:
            raise SpecError([*error.problems, *map(problem_of, bads)]) from error
    records = []
    source = SourceSpec(path=str(path))
    for row in good:
        record = record_of(row, layout or "", source, system=system, source_number=0)
        if isinstance(record, Bad):
            bads.append(record)
        else:
            records.append(record)
    if bads:
        raise SpecError(map(problem_of, bads))
    return records


def problem_of(bad: Bad) -> Problem:
    """What is wrong with `bad` as a problem that prints as its message."""
    return Told(str(bad.origin), bad.raw, bad.message)
